"""Originals filed away by real hands: each job's file is its own, however equal another's is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from retouchd.cli.acting import cancel_now, retry_now
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


@dataclass
class House:
    """A lane with folders, its ledger, and who files its originals."""

    folder: Path
    ledger: Ledger
    hands: Hands
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

    def failed(self) -> list[str]:
        return sorted(os.listdir(self.folder / "failed" / DAY))

    def kept(self) -> set[tuple[int, str]]:
        return {(file.job, file.path) for file in self.ledger.kept("a")}


@pytest.fixture
def house(tmp_path: Path, hands: Hands) -> Iterator[House]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    lane = LaneState(parse(f"lanes: [{{name: a, root: {tmp_path}}}]", "x").lanes[0])
    lane.set_roots(
        {role: establish("a", role, str(tmp_path / role)) for role in lane.config.folders}
    )
    yield House(tmp_path, ledger, hands, Filing(ledger, hands, Clock(), 8.0), lane)
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


def test_a_text_that_is_there_already_is_not_written_twice(house: House) -> None:
    """As after a crash between the text and its commit, an hour later."""
    job = house.publish(b"no picture")
    with house.ledger.transaction() as db:
        db.execute("UPDATE jobs SET state = 'quarantined', completed_at = 1")
    intend(house.ledger, house.the(job.id), Place.FAILED, DAY)
    house.filing.file(house.the(job.id), house.lane)
    texts = [name for name in house.failed() if name.endswith(".txt")]
    with house.ledger.transaction() as db:
        db.execute("UPDATE jobs SET error_file = NULL")
    later = Clock(now=lambda: time.time() + 3600)
    Filing(house.ledger, house.hands, later, 8.0).file(house.the(job.id), house.lane)
    assert texts == ["photo.png.error.txt"]
    assert house.failed() == sorted(["photo.png", *texts])
    assert house.the(job.id).error_file == f"{DAY}/photo.png.error.txt"


# What an earlier try left for review.


@dataclass
class Reviewed:
    """A matte lane with one job that was done again; what lies in review for it, and why."""

    folder: Path
    ledger: Ledger
    filing: Filing
    lane: LaneState
    job: int

    def left(self, name: str, content: bytes = b"old") -> Path:
        """A file of an earlier try."""
        path = self.folder / "review" / DAY / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        found = path.stat()
        stat = FileStat(found.st_size, found.st_mtime_ns, found.st_ino)
        where = f"{DAY}/{name}"
        self.ledger.keep(
            job=self.job, lane="a", role="review", path=where, stat=stat, completed_at=1.0
        )
        return path

    def kept(self) -> list[str]:
        return [file.path for file in self.ledger.kept_of(self.job, "review")]

    def file(self) -> State:
        job = self.ledger.job(self.job)
        assert job is not None
        return self.filing.file(job, self.lane)


@pytest.fixture
def reviewed(tmp_path: Path, hands: Hands) -> Iterator[Reviewed]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    lane = LaneState(parse(f"lanes: [{{name: a, task: matte, root: {tmp_path}}}]", "x").lanes[0])
    lane.set_roots({r: establish("a", r, str(path)) for r, path in lane.config.folders.items()})
    drops = [NewDrop(Role.IMAGE, "photo.png", None)]
    number = ledger.add(
        lane="a", task="matte", source="photo", state=State.READY, drops=drops, now=1.0
    )
    for state in (State.RUNNING, State.PUBLISHED):
        ledger.change(number, state, now=1.0)
    yield Reviewed(tmp_path, ledger, Filing(ledger, hands, Clock(), 8.0), lane, number)
    ledger.close()


def test_what_was_in_review_goes_when_it_was_done_again(reviewed: Reviewed) -> None:
    paths = [reviewed.left(name) for name in ("photo.png", "photo.review.txt")]
    assert reviewed.file() is State.DONE
    assert not any(path.exists() for path in paths)
    assert reviewed.kept() == []


def test_what_a_person_replaced_in_review_stays_and_is_theirs(reviewed: Reviewed) -> None:
    mine, text = reviewed.left("photo.png"), reviewed.left("photo.review.txt")
    mine.write_bytes(b"retouched by hand")
    assert reviewed.file() is State.DONE
    assert mine.read_bytes() == b"retouched by hand"
    assert not text.exists()
    assert reviewed.kept() == [], "nor does retention ever delete it"


def test_what_a_person_took_out_of_review_is_no_trouble(reviewed: Reviewed) -> None:
    reviewed.left("photo.png").unlink()
    reviewed.left("photo.review.txt").unlink()
    assert reviewed.file() is State.DONE
    assert reviewed.kept() == []


def test_what_has_gone_into_review_again_stays_there(reviewed: Reviewed) -> None:
    old, text = reviewed.left("photo.png"), reviewed.left("photo.review.txt")
    now, why = reviewed.left("photo (1).png"), reviewed.left("photo (1).review.txt")
    reviewed.ledger.note(
        reviewed.job,
        now=2.0,
        output=f"{DAY}/photo (1).png",
        output_role="review",
        companions=[
            {"token": "reason", "path": f"{DAY}/photo (1).review.txt", "sha256": "", "size": 3}
        ],
    )
    assert reviewed.file() is State.DONE
    assert not old.exists()
    assert not text.exists()
    assert now.exists()
    assert why.exists()
    assert len(reviewed.kept()) == 2


def test_other_jobs_files_in_review_are_left_alone(reviewed: Reviewed) -> None:
    reviewed.left("photo.png")
    reviewed.job, mine = reviewed.job + 1, reviewed.job
    other = reviewed.left("other.png")
    reviewed.job = mine
    assert reviewed.file() is State.DONE
    assert other.exists()


def test_filing_what_was_reviewed_can_be_repeated(reviewed: Reviewed) -> None:
    """As after a crash between the deletion and its commit."""
    reviewed.left("photo.png").unlink()
    for _ in range(2):
        assert reviewed.file() is State.DONE
        with reviewed.ledger.transaction() as db:
            db.execute("UPDATE jobs SET state = 'published'")


def test_what_fails_again_where_it_lies_is_retentions_again(house: House) -> None:
    """Its attempt took it back from retention, so that it would not go meanwhile."""
    job = house.publish(b"pixels")
    with house.ledger.transaction() as db:
        db.execute("UPDATE jobs SET state = 'quarantined'")
    (drop,) = job.drops
    house.ledger.intend_move(drop.id, Place.FAILED, f"{DAY}/photo.png")
    assert house.filing.file(house.the(1), house.lane) is State.QUARANTINED
    photo, text = f"{DAY}/photo.png", f"{DAY}/photo.png.error.txt"
    assert house.kept() == {(1, photo), (1, text)}
    house.ledger.release_kept("a", "failed", photo)
    house.ledger.note(1, now=2.0, error_file=None)
    (house.folder / "failed" / text).unlink()
    assert house.filing.file(house.the(1), house.lane) is State.QUARANTINED
    assert house.kept() == {(1, photo), (1, text)}


def aside(house: House) -> Job:
    """A job that is tried again in quarantine; the text about its failure is gone by now."""
    photo = house.folder / "failed" / DAY / "photo.png"
    photo.parent.mkdir()
    photo.write_bytes(b"photo")
    drops = [NewDrop(Role.IMAGE, "photo.png", FileStat(5, 1, 1))]
    number = house.ledger.add(
        lane="a", task="inpaint", source="alpha", state=State.READY, drops=drops, now=1.0
    )
    [drop] = house.the(number).drops
    house.ledger.moved(drop.id, Place.FAILED, f"{DAY}/photo.png")
    house.ledger.unsettle(number)
    return house.the(number)


def test_what_is_called_off_in_quarantine_stays_there_with_a_text_that_says_so(
    house: House,
) -> None:
    job = aside(house)
    assert cancel_now(house.ledger, job) is State.QUARANTINED
    assert house.filing.file(house.the(job.id), house.lane) is State.QUARANTINED
    assert house.failed() == ["photo.png", "photo.png.error.txt"]
    text = (house.folder / "failed" / DAY / "photo.png.error.txt").read_text()
    assert "somebody cancelled that" in " ".join(text.split())
    assert f"retouchd retry {job.id}" in text
    # Retention has it again.
    assert house.kept() == {(job.id, f"{DAY}/{name}") for name in house.failed()}


def set_aside(house: House) -> Job:
    """A job that was quarantined, with its text."""
    job = house.publish(b"no picture")
    with house.ledger.transaction() as db:
        db.execute("UPDATE jobs SET state = 'quarantined', completed_at = 1, error = 'So.'")
    intend(house.ledger, job, Place.FAILED, DAY)
    assert house.filing.file(house.the(job.id), house.lane) is State.QUARANTINED
    assert house.kept() == {(job.id, f"{DAY}/{name}") for name in house.failed()}
    return house.the(job.id)


def test_what_is_called_off_before_it_began_is_as_if_it_had_not_been_asked_for(
    house: House,
) -> None:
    job = set_aside(house)
    before, kept = house.failed(), house.kept()
    retry_now(house.ledger, job)
    assert house.kept() == set(), "retention leaves what is about to be worked on"
    assert cancel_now(house.ledger, house.the(job.id)) is State.QUARANTINED
    assert house.filing.file(house.the(job.id), house.lane) is State.QUARANTINED
    assert house.failed() == before == ["photo.png", "photo.png.error.txt"]
    assert house.kept() == kept
    assert house.the(job.id).error == "So."


def test_what_fails_again_in_quarantine_is_kept_from_then_on(house: House) -> None:
    job = set_aside(house)
    retry_now(house.ledger, job)
    mended = house.folder / "failed" / DAY / "photo.png"
    mended.write_bytes(b"still no picture")
    house.filing.remove_text(house.the(job.id), house.lane)
    assert house.failed() == ["photo.png"]
    house.ledger.change(job.id, State.RUNNING, now=2.0)
    house.ledger.change(job.id, State.QUARANTINED, now=3.0, completed_at=3.0)
    assert house.kept() == set()
    house.filing.file(house.the(job.id), house.lane)
    sizes = {file.path: (file.size, file.completed_at) for file in house.ledger.kept("a")}
    assert sizes[f"{DAY}/photo.png"] == (mended.stat().st_size, 3.0)
