"""Originals filed away by real hands: each job's file is its own, however equal another's is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from retouchd.clock import Clock
from retouchd.config import parse
from retouchd.filing import Filing
from retouchd.hands import Hands
from retouchd.job import FileStat, Job, Place, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, NewDrop
from retouchd.recording import intend
from retouchd.roots import establish

pytestmark = pytest.mark.timeout(60)  # each starts processes, maybe on a busy machine

DAY = "2026-11-21"


@pytest.fixture(scope="module")
def hands() -> Iterator[Hands]:
    made = Hands(2, 1, 8 << 30)
    yield made
    made.close()


@dataclass
class House:
    """A lane with folders, its ledger, and who files its originals."""

    folder: Path
    ledger: Ledger
    filing: Filing
    lane: LaneState

    def publish(self, content: bytes) -> Job:
        """A job whose output is out and whose photo still lies in the inbox."""
        photo = self.folder / "inbox" / "photo.png"
        photo.write_bytes(content)
        os.utime(photo, ns=(1, 1))
        found = photo.stat()
        stat = FileStat(found.st_size, found.st_mtime_ns, found.st_ino)
        number = self.ledger.add(
            lane="a",
            task="inpaint",
            source="alpha",
            state=State.READY,
            drops=[NewDrop(Role.IMAGE, "photo.png", stat)],
            now=1.0,
        )
        for state in (State.RUNNING, State.PUBLISHED):
            self.ledger.change(number, state, now=1.0)
        intend(self.ledger, self.the(number), Place.ARCHIVE, DAY)
        return self.the(number)

    def the(self, number: int) -> Job:
        job = self.ledger.job(number)
        assert job is not None
        return job

    def where(self, number: int) -> tuple[Place, str]:
        (drop,) = self.the(number).drops
        return drop.place, drop.where

    def archived(self) -> list[str]:
        return sorted(os.listdir(self.folder / "archive" / DAY))

    def kept(self) -> set[tuple[int, str]]:
        return {(file.job, file.path) for file in self.ledger.kept("a")}


@pytest.fixture
def house(tmp_path: Path, hands: Hands) -> Iterator[House]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    lane = LaneState(parse(f"lanes: [{{name: a, root: {tmp_path}}}]", "x").lanes[0])
    lane.set_roots(
        {role: establish("a", role, str(tmp_path / role)) for role in lane.config.folders}
    )
    yield House(tmp_path, ledger, Filing(ledger, hands, Clock(), 8.0), lane)
    ledger.close()


def test_the_same_photo_dropped_twice_is_filed_twice(house: House) -> None:
    for _ in range(2):
        assert house.filing.file(house.publish(b"pixels"), house.lane) is State.DONE
    assert house.archived() == ["photo (1).png", "photo.png"]
    assert house.where(1) == (Place.ARCHIVE, f"{DAY}/photo.png")
    assert house.where(2) == (Place.ARCHIVE, f"{DAY}/photo (1).png")
    assert house.kept() == {(1, f"{DAY}/photo.png"), (2, f"{DAY}/photo (1).png")}


def test_a_photo_taken_away_is_gone_although_its_like_was_filed_before(house: House) -> None:
    """That one is the other job's: neither its place nor its retention changes hands."""
    house.filing.file(house.publish(b"pixels"), house.lane)
    job = house.publish(b"pixels")
    (house.folder / "inbox" / "photo.png").unlink()
    assert house.filing.file(job, house.lane) is State.DONE
    assert house.where(2)[0] is Place.GONE
    assert house.kept() == {(1, f"{DAY}/photo.png")}


def test_what_a_person_put_into_the_archive_is_not_handed_to_retention(house: House) -> None:
    job = house.publish(b"pixels")
    theirs = house.folder / "archive" / DAY / "photo.png"
    theirs.parent.mkdir()
    shutil.copy2(house.folder / "inbox" / "photo.png", theirs)
    assert house.filing.file(job, house.lane) is State.DONE
    assert house.kept() == {(1, f"{DAY}/photo (1).png")}
    assert theirs.exists()


def test_filing_twice_is_filing_once(house: House) -> None:
    """As after a crash between the move and its commit."""
    job = house.publish(b"pixels")
    (drop,) = job.drops
    house.filing.file(job, house.lane)
    with house.ledger.transaction() as db:
        db.execute("UPDATE jobs SET state = 'published'")
        db.execute("DELETE FROM kept")
        db.execute("UPDATE drops SET place = 'inbox', \"where\" = path")
    house.ledger.intend_move(drop.id, Place.ARCHIVE, f"{DAY}/photo.png")
    assert house.filing.file(house.the(1), house.lane) is State.DONE
    assert house.archived() == ["photo.png"]
    assert house.kept() == {(1, f"{DAY}/photo.png")}
