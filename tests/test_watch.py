"""Events only wake the scanner; when they are lost, that is news as well."""

from __future__ import annotations

import ctypes
import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    watch._trees[lane].handle_event(overflow)


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
    tree = watch._trees["a"]
    # Of the new folder nothing is heard, as if its event were among the lost ones.
    with monkeypatch.context() as patch:
        patch.setattr(tree, "handle_event", lambda *_: None)
        (tmp_path / "new").mkdir()
        threading.Event().wait(0.3)
    watched: list[bool] = []
    monkeypatch.setattr(tree, "_wake", lambda _: watched.append("new" in tree._folders.values()))
    flood(watch, "a")
    assert watched == [True]
    monkeypatch.undo()
    (tmp_path / "new" / "photo.png").touch()
    assert woken.wait_for(("a", "new/photo.png"))


def test_folders_that_come_later_or_get_another_name_are_watched(
    watch: Watch, woken: Woken, tmp_path: Path
) -> None:
    inbox, outside = tmp_path / "inbox", tmp_path / "outside"
    (outside / "moved" / "in").mkdir(parents=True)
    inbox.mkdir()
    assert watch.add("a", str(inbox)) is None
    (inbox / "b").mkdir()
    assert woken.wait_for(("a", "b"))
    (inbox / "b" / "c").mkdir()
    assert woken.wait_for(("a", "b/c"))
    (inbox / "b").rename(inbox / "other")
    assert woken.wait_for(("a", "other"))
    (inbox / "other" / "c" / "photo.png").touch()
    assert woken.wait_for(("a", "other/c/photo.png"))
    (outside / "moved").rename(inbox / "moved")
    assert woken.wait_for(("a", "moved"))
    (inbox / "moved" / "in" / "photo.png").touch()
    assert woken.wait_for(("a", "moved/in/photo.png"))
    # What was taken out of the inbox is somebody else's.
    (inbox / "moved").rename(outside / "again")
    assert woken.wait_for(("a", "moved"))
    (outside / "again" / "in" / "secret.png").touch()
    (inbox / "last.png").touch()
    assert woken.wait_for(("a", "last.png"))
    assert not [path for _, path in woken.calls if "secret" in str(path)]


def test_a_link_in_place_of_a_folder_is_not_followed(
    watch: Watch, woken: Woken, tmp_path: Path
) -> None:
    """Also where it was a folder when its event was made."""
    inbox, outside = tmp_path / "inbox", tmp_path / "outside"
    (outside / "deeper").mkdir(parents=True)
    inbox.mkdir()
    (inbox / "link").symlink_to(outside)
    assert watch.add("a", str(inbox)) is None
    tree = watch._trees["a"]
    for name in ("link", "link/deeper"):
        tree._came(name)
    assert list(tree._folders.values()) == [""]
    (outside / "deeper" / "secret.png").touch()
    (inbox / "last.png").touch()
    assert woken.wait_for(("a", "last.png"))
    assert not [path for _, path in woken.calls if "secret" in str(path)]


def test_an_inbox_that_is_deleted_is_watched_no_longer(watch: Watch, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    assert watch.add("a", str(inbox)) is None
    assert watch.alive("a")
    inbox.rmdir()
    deadline = time.monotonic() + 5
    while watch.alive("a") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not watch.alive("a")


def test_an_inbox_with_more_folders_than_can_be_watched_is_told(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    add, given = module.inotify_add_watch, []

    def one_is_left(*arguments: Any) -> int:
        given.append(arguments)
        ctypes.set_errno(errno.ENOSPC)
        return add(*arguments) if len(given) == 1 else -1

    monkeypatch.setattr(module, "inotify_add_watch", one_is_left)
    assert "watch limit" in (watch.add("a", str(tmp_path)) or "")
    assert not watch.alive("a")


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
