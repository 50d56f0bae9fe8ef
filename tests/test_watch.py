"""Events only wake the scanner; when they are lost, that is news as well."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyConstants

from retouchd import watch as module
from retouchd.watch import Watch


class Woken:
    """Notes what it was woken for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None]] = []
        self._news = threading.Condition()

    def __call__(self, lane: str, path: str | None) -> None:
        with self._news:
            self.calls.append((lane, path))
            self._news.notify_all()

    def wait_for(self, call: tuple[str, str | None]) -> bool:
        with self._news:
            return self._news.wait_for(lambda: call in self.calls, 5)


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def watch(woken: Woken) -> Iterator[Watch]:
    made = Watch(woken)
    yield made
    made.close()


def flood(watch: Watch, lane: str) -> None:
    """As the kernel does when its queue is full."""
    overflow = module.InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    watch._observers[lane]._inotify.handle_event(overflow)


def test_a_new_file_wakes_its_lane_with_its_path(
    watch: Watch, woken: Woken, tmp_path: Path
) -> None:
    assert watch.add("a", str(tmp_path)) is None
    (tmp_path / "photo.png").touch()
    assert woken.wait_for(("a", "photo.png"))


def test_lost_events_wake_their_lane_for_everything(
    watch: Watch, woken: Woken, tmp_path: Path
) -> None:
    assert watch.add("a", str(tmp_path)) is None
    flood(watch, "a")
    assert woken.calls == [("a", None)]


def test_folders_that_came_while_events_were_lost_are_watched_before_the_lane_is_woken(
    watch: Watch, woken: Woken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watch.add("a", str(tmp_path)) is None
    inotify = watch._observers["a"]._inotify
    # Of the new folder nothing is heard, as if its event were among the lost ones.
    with monkeypatch.context() as patch:
        patch.setattr(module.InotifyFD, "handle_event", lambda *_: None)
        (tmp_path / "new").mkdir()
        threading.Event().wait(0.3)
    watched: list[bool] = []
    monkeypatch.setattr(
        inotify,
        "_lost",
        lambda: watched.append(
            any(b"new" in one._initial_creation_path for one in inotify._watch_for_wd.values())
        ),
    )
    flood(watch, "a")
    assert watched == [True]
    (tmp_path / "new" / "photo.png").touch()
    assert woken.wait_for(("a", "new/photo.png"))


def test_an_inbox_that_can_not_be_watched_is_told_and_leaves_nothing_behind(
    watch: Watch, tmp_path: Path
) -> None:
    before = threading.active_count()
    assert "No such file" in (watch.add("a", str(tmp_path / "gone")) or "")
    assert not watch.alive("a")
    assert threading.active_count() == before


def test_without_inotify_instances_an_inbox_is_told_to_be_unwatched(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(module.InotifyFD, "_create_inotify_fd", none_left)
    assert "instance limit" in (watch.add("a", str(tmp_path)) or "")
