"""Outputs made visible by real hands: all of a job's files or none, once, whoever dies where."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from retouchd.call import Call
from retouchd.clock import Clock
from retouchd.config import parse
from retouchd.errors import FileBusy, IoTrouble
from retouchd.hands import Hands
from retouchd.job import FileStat, Job, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, NewDrop
from retouchd.order import Product, Stopwatch, Written
from retouchd.publishing import Publishing, original
from retouchd.roots import establish

pytestmark = pytest.mark.timeout(60)  # each starts processes, maybe on a busy machine

TODAY = datetime(2026, 11, 21, 12).astimezone()
DAY = "2026-11-21"
ALL = {"": ".png", "alpha": "_alpha.png", "composite": "_composite.jpg", "reason": ".review.txt"}


class Cut(Exception):
    """The service died here."""


class Mortal:
    """Hands that do a task and then, or before it, are the last that the service did."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self.calls: list[str] = []
        self.dies_at: int | None = None
        self.after = False
        self.meanwhile: Callable[[Call], None] = lambda call: None

    def call(self, call: Call) -> Any:
        self.calls.append(call.task)
        last = self.dies_at == len(self.calls)
        if last and not self.after:
            raise Cut
        self.meanwhile(call)
        answer = self._hands.call(call)
        if last:
            raise Cut
        return answer


@dataclass
class House:
    """A matte lane with folders, its ledger, and who publishes."""

    folder: Path
    ledger: Ledger
    mortal: Mortal
    publishing: Publishing
    lane: LaneState
    role: str = "outbox"
    wrote: dict[str, bytes] = field(default_factory=dict)

    def job(self, name: str = "sub/photo.jpg") -> Job:
        """A job that is at work, with its photo in the inbox."""
        photo = self.folder / "inbox" / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(b"photo")
        found = photo.stat()
        stat = FileStat(found.st_size, found.st_mtime_ns, found.st_ino)
        number = self.ledger.add(
            lane="a",
            task="matte",
            source="photo",
            state=State.READY,
            drops=[NewDrop(Role.IMAGE, name, stat)],
            now=1.0,
        )
        self.ledger.change(number, State.RUNNING, now=1.0, attempts=1)
        return self.the(number)

    def the(self, number: int) -> Job:
        job = self.ledger.job(number)
        assert job is not None
        return job

    def product(self, job: Job, *tokens: str) -> Product:
        """Temporary outputs as hands leave them."""
        made = []
        for token in ("", *tokens):
            data = f"{job.id} {token}".encode()
            (self.folder / self.role / self.publishing.temporary(job, token)).write_bytes(data)
            made.append(Written(hashlib.sha256(data).hexdigest(), len(data), ALL[token], token))
        return Product(made[0], tuple(made[1:]), self.role)

    def publish(self, job: Job, *tokens: str) -> Job:
        originals = [original(drop, self.lane) for drop in job.drops]
        product = self.product(job, *tokens)
        return self.publishing.publish(job, self.lane, product, originals, Stopwatch())

    def again(self) -> None:
        """The service starts anew."""
        self.mortal.dies_at, self.mortal.meanwhile = None, lambda call: None

    def visible(self, role: str = "") -> list[str]:
        top = self.folder / (role or self.role)
        found = (p.relative_to(top) for p in top.rglob("*") if p.is_file())
        return sorted(str(p) for p in found if not p.name.startswith("."))

    def hidden(self) -> list[str]:
        return [p.name for p in self.folder.rglob(".retouchd-*.tmp")]

    def kept(self) -> set[tuple[str, str]]:
        with self.ledger.transaction() as db:
            return {(r, os.fsdecode(p)) for r, p in db.execute("SELECT role, path FROM kept")}


@pytest.fixture(params=["outbox", "review"])
def house(request: pytest.FixtureRequest, tmp_path: Path, hands: Hands) -> Iterator[House]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    text = f"lanes: [{{name: a, root: {tmp_path}, task: matte}}]"
    lane = LaneState(parse(text, "x").lanes[0])
    roots = {r: establish("a", r, str(path)) for r, path in lane.config.folders.items()}
    lane.set_roots(roots)
    mortal: Any = Mortal(hands)
    publishing = Publishing(ledger, mortal, Clock(now=TODAY.timestamp), 8.0)
    yield House(tmp_path, ledger, mortal, publishing, lane, request.param)
    ledger.close()


def test_all_files_of_a_job_become_visible_beside_each_other(house: House) -> None:
    job = house.publish(house.job(), "alpha", "composite", "reason")
    assert house.visible() == [
        f"{DAY}/sub/photo.png",
        f"{DAY}/sub/photo.review.txt",
        f"{DAY}/sub/photo_alpha.png",
        f"{DAY}/sub/photo_composite.jpg",
    ]
    assert house.hidden() == []
    assert (job.state, job.output, job.output_role) == (
        State.PUBLISHED,
        f"{DAY}/sub/photo.png",
        house.role,
    )
    retained = {"outbox": "outputs", "review": "review"}[house.role]
    assert house.kept() == {(retained, path) for path in house.visible()}
    assert house.ledger.holding("a", house.role, f"{DAY}/sub/photo_alpha.png") == [job]


def test_the_output_comes_last(house: House) -> None:
    """Whoever sees it sees all of it."""
    seen: list[str] = []
    house.mortal.meanwhile = lambda call: (
        seen.append(call.arguments["final"]) if call.task == "publish" else None
    )
    house.publish(house.job(), "alpha", "composite")
    assert [name.rpartition("/")[2] for name in seen] == [
        "photo_alpha.png",
        "photo_composite.jpg",
        "photo.png",
    ]


@pytest.mark.parametrize("taken", ["photo.png", "photo_alpha.png", "photo.review.txt"])
def test_one_name_that_is_taken_gives_the_next_number_to_all(house: House, taken: str) -> None:
    """So that a person sees what belongs together."""
    theirs = house.folder / house.role / DAY / "sub" / taken
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    house.publish(house.job(), "alpha", "reason")
    assert theirs.read_bytes() == b"theirs"
    ours = ["photo (1).png", "photo (1).review.txt", "photo (1)_alpha.png"]
    assert house.visible() == sorted(f"{DAY}/sub/{name}" for name in (taken, *ours))


@pytest.mark.parametrize(
    ("taken", "ours"),
    [
        ("photo_alpha.png", ["photo (1).png", "photo (1)_alpha.png"]),
        ("photo.png", ["photo (1).png", "photo_alpha.png"]),  # the alpha is visible by then
    ],
)
def test_a_name_that_is_taken_in_the_last_moment_is_not_replaced(
    house: House, taken: str, ours: list[str]
) -> None:
    theirs = house.folder / house.role / DAY / "sub" / taken

    def take(call: Call) -> None:
        if call.task == "publish" and not theirs.exists():
            theirs.parent.mkdir(parents=True)
            theirs.write_bytes(b"theirs")

    house.mortal.meanwhile = take
    job = house.publish(house.job(), "alpha")
    assert theirs.read_bytes() == b"theirs"
    assert house.visible() == sorted(f"{DAY}/sub/{name}" for name in (taken, *ours))
    assert [job.output, *(c.path for c in job.companions)] == [f"{DAY}/sub/{n}" for n in ours]
    assert house.hidden() == []


def test_twenty_photos_of_one_name_keep_their_files_together(house: House) -> None:
    for _ in range(20):
        house.publish(house.job("p.jpg"), "alpha")
    stems = {name.removesuffix(".png").removesuffix("_alpha") for name in house.visible()}
    assert len(stems) == 20
    assert len(house.visible()) == 40


def test_a_photo_whose_name_is_that_of_anothers_companion_is_no_trouble(house: House) -> None:
    first = house.publish(house.job("p.jpg"), "alpha")
    second = house.publish(house.job("p_alpha.jpg"), "alpha")
    assert first.output == f"{DAY}/p.png"
    assert second.output == f"{DAY}/p_alpha (1).png"
    assert f"{DAY}/p_alpha (1)_alpha.png" in house.visible()


def crashes() -> list[tuple[int, bool]]:
    return [(call, after) for call in range(1, 6) for after in (False, True)]


@pytest.mark.parametrize(("dies_at", "after"), crashes())
def test_whoever_dies_between_two_files_is_resumed_once(
    house: House, dies_at: int, after: bool
) -> None:
    """1 looks for free names, 2 and 3 make companions visible, 4 the output; then all is out."""
    job = house.job()
    house.mortal.dies_at, house.mortal.after = dies_at, after
    if dies_at <= 4:
        with pytest.raises(Cut):
            house.publish(job, "alpha", "reason")
    else:
        house.publish(job, "alpha", "reason")
    house.again()
    if house.the(job.id).state is not State.PUBLISHED:
        resumed = house.publishing.resume(house.the(job.id), house.lane)
        assert (resumed is None) == (dies_at == 1), "only before its names were committed"
        if resumed is None:
            assert house.visible() == house.hidden() == []
            house.publish(house.the(job.id), "alpha", "reason")
    assert house.visible() == [
        f"{DAY}/sub/photo.png",
        f"{DAY}/sub/photo.review.txt",
        f"{DAY}/sub/photo_alpha.png",
    ]
    assert house.hidden() == []
    assert len(house.kept()) == 3


@pytest.mark.parametrize("dies_again", range(1, 8))
def test_whoever_dies_while_resuming_is_resumed_once_more(house: House, dies_again: int) -> None:
    job = house.job()
    house.mortal.dies_at, house.mortal.after = 2, True
    with pytest.raises(Cut):
        house.publish(job, "alpha", "reason")
    house.mortal.dies_at = len(house.mortal.calls) + dies_again
    try:
        house.publishing.resume(house.the(job.id), house.lane)
    except Cut:
        house.again()
        house.publishing.resume(house.the(job.id), house.lane)
    assert len(house.visible()) == 3
    assert house.the(job.id).state is State.PUBLISHED


def test_a_photo_that_is_replaced_in_between_takes_back_what_is_visible(house: House) -> None:
    job = house.job()
    photo = house.folder / "inbox" / "sub" / "photo.jpg"

    def replace(call: Call) -> None:
        if call.task == "publish" and call.arguments["final"].endswith("photo.png"):
            photo.write_bytes(b"another photo")

    house.mortal.meanwhile = replace
    with pytest.raises(FileBusy):
        house.publish(job, "alpha", "reason")
    assert house.visible() == house.hidden() == []
    assert house.kept() == set()
    assert photo.read_bytes() == b"another photo"


def test_what_a_person_made_of_a_companion_meanwhile_is_not_taken_back(house: House) -> None:
    job = house.job()
    alpha = house.folder / house.role / DAY / "sub" / "photo_alpha.png"

    def meddle(call: Call) -> None:
        if call.task == "publish" and call.arguments["final"].endswith("photo.png"):
            alpha.write_bytes(b"edited by hand")
            (house.folder / "inbox" / "sub" / "photo.jpg").write_bytes(b"another photo")

    house.mortal.meanwhile = meddle
    with pytest.raises(FileBusy):
        house.publish(job, "alpha", "reason")
    assert house.visible() == [f"{DAY}/sub/photo_alpha.png"]
    assert alpha.read_bytes() == b"edited by hand"


def test_a_photo_that_was_replaced_while_the_service_was_down_is_not_published(
    house: House,
) -> None:
    job = house.job()
    house.mortal.dies_at, house.mortal.after = 2, True
    with pytest.raises(Cut):
        house.publish(job, "alpha", "reason")
    house.again()
    (house.folder / "inbox" / "sub" / "photo.jpg").write_bytes(b"another photo")
    with pytest.raises(FileBusy):
        house.publishing.resume(house.the(job.id), house.lane)
    assert house.visible() == house.hidden() == []


def test_what_a_person_fetched_before_its_commit_is_not_made_twice(house: House) -> None:
    """All was visible, the service died, and a person already took the alpha away."""
    job = house.job()
    house.mortal.dies_at, house.mortal.after = 4, True
    with pytest.raises(Cut):
        house.publish(job, "alpha", "reason")
    house.again()
    (house.folder / house.role / DAY / "sub" / "photo_alpha.png").unlink()
    resumed = house.publishing.resume(house.the(job.id), house.lane)
    assert resumed is not None
    assert resumed.state is State.PUBLISHED
    assert house.visible() == [f"{DAY}/sub/photo.png", f"{DAY}/sub/photo.review.txt"]
    assert {path for _, path in house.kept()} == set(house.visible())


def test_companions_whose_output_was_lost_are_taken_back(house: House) -> None:
    job = house.job()
    house.mortal.dies_at, house.mortal.after = 3, True
    with pytest.raises(Cut):
        house.publish(job, "alpha", "reason")
    house.again()
    (house.folder / house.role / house.publishing.temporary(job)).unlink()
    assert house.publishing.resume(house.the(job.id), house.lane) is None
    assert house.visible() == house.hidden() == []


def test_a_twin_that_was_published_first_keeps_its_files(house: House) -> None:
    """Equal bytes under the same name prove nothing: they are the other job's."""
    first = house.publish(house.job(), "alpha")
    second = house.job()
    house.ledger.note(
        second.id,
        now=1.0,
        output=first.output,
        output_sha256=first.output_sha256,
        output_role=house.role,
        companions=[{"token": c.token, "path": c.path, "sha256": c.sha256, "size": c.size}
                    for c in first.companions],
    )  # fmt: skip
    assert house.publishing.resume(house.the(second.id), house.lane) is None
    assert len(house.visible()) == 2
    assert len(house.kept()) == 2


def test_jobs_that_want_one_name_at_once_have_a_number_each(house: House) -> None:
    """Another job takes the number between the look for a free one and the rename."""
    rival = house.job("sub/photo.png")
    beaten: list[bool] = []

    def overtake(call: Call) -> None:
        if call.task == "publish" and not beaten:
            beaten.append(True)
            house.publish(rival, "alpha", "reason")

    house.mortal.meanwhile = overtake
    house.publish(house.job(), "alpha", "reason")
    ends = (".png", "_alpha.png", ".review.txt")
    both = [f"{DAY}/sub/photo{n}{end}" for n in ("", " (1)") for end in ends]
    assert house.visible() == sorted(both)
    assert house.hidden() == []


def test_what_was_written_and_will_not_be_published_is_deleted_wherever_it_lies(
    house: House,
) -> None:
    job = house.job()
    for house.role in ("outbox", "review"):
        house.product(job, "alpha", "composite", "reason")
    assert len(house.hidden()) == 8
    house.publishing.discard(job, house.lane)
    assert house.hidden() == []


def test_a_job_without_companions_asks_for_no_names(house: House) -> None:
    house.publish(house.job())
    assert house.mortal.calls == ["publish"]


def test_ten_thousand_files_of_one_name_are_trouble_and_not_a_loop(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retouchd.publishing.MOST_NAMES", 8)
    folder = house.folder / house.role / DAY / "sub"
    folder.mkdir(parents=True)
    for number in range(8):
        tail = f" ({number})" if number else ""
        (folder / f"photo{tail}_alpha.png").write_bytes(b"")
    with pytest.raises(IoTrouble, match="have that name already"):
        house.publish(house.job(), "alpha")


def test_a_long_name_keeps_its_companions_in_the_limits_of_file_systems(house: House) -> None:
    name = "ü" * 90 + "long" * 10 + ".jpg"
    for _ in range(2):
        house.publish(house.job(name), "composite", "reason")
    assert len(house.visible()) == 6
    assert max(len(os.fsencode(name.rpartition("/")[2])) for name in house.visible()) <= 255


def test_the_folder_of_an_output_may_be_made_away_with(house: House) -> None:
    """By a person, between the first and the second file."""

    def clear(call: Call) -> None:
        folder = house.folder / house.role / DAY
        if call.task == "publish" and folder.exists() and not clear_done:
            clear_done.append(True)
            shutil.rmtree(folder)

    clear_done: list[bool] = []
    house.mortal.meanwhile = clear
    house.publish(house.job(), "alpha", "reason")
    assert f"{DAY}/sub/photo.png" in house.visible()
    assert house.hidden() == []
