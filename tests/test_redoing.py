"""A mask that comes for a photo which was done before: what the ledger makes of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from retouchd.clock import Clock
from retouchd.config import parse
from retouchd.errors import NotAnImage
from retouchd.intake import Intake
from retouchd.job import AFRESH, Drop, FileStat, Job, Place, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.listing import Found
from retouchd.pairing import Pair, WaitingMask
from retouchd.reconcile import reconcile
from retouchd.recording import claim, intend, quarantine
from retouchd.redoing import meant_by
from retouchd.ways import folder_of_day

NOW = 1_000_000.0
REDO_AFTER = 15.0


@dataclass
class Hour:
    """The time, set by hand."""

    time: float = NOW


@dataclass
class House:
    """A matte lane's inbox as its intake sees it, its ledger, and a pipeline in two steps."""

    ledger: Ledger
    intake: Intake
    hour: Hour
    lane: LaneState
    files: dict[str, FileStat] = field(default_factory=dict)
    inodes: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def drop(self, *names: str) -> None:
        for name in names:
            self.files[name] = FileStat(9, 1, next(self.inodes))

    def look(self, *, moving: tuple[str, ...] = ()) -> None:
        """One round of the intake: everything has settled but what moves."""
        before = self.ledger.live("m")
        presence = self.intake._presence
        found = [Found(name, stat.inode, True) for name, stat in self.files.items()]
        presence.keep_only(found)
        taken = {
            drop.path: drop.stat
            for job in before
            if job.state not in (State.WAITING, State.READY, State.FAILED)
            for drop in job.drops
            if drop.place is Place.INBOX
        }
        found = [f for f in found if not (f.path in taken and taken[f.path] == self.files[f.path])]
        for file in found:
            if file.path in moving:
                presence.forget(file.path)
            elif file.path not in presence.whole:
                presence.trust(file.path, self.files[file.path], 100)
        self.intake._tell(found, before)

    def claim(self, number: int) -> None:
        claim(self.ledger, self.the(number), self.hour.time)

    def finish(self, number: int, output: str = "d/p.png", role: str = "outbox") -> None:
        now = self.hour.time
        if self.the(number).state is State.READY:
            self.claim(number)
        self.ledger.change(
            number,
            State.PUBLISHED,
            now=now,
            output=output,
            output_sha256="x",
            output_role=role,
            completed_at=now,
            earlier=None,
        )
        intend(self.ledger, self.the(number), Place.ARCHIVE, folder_of_day(now))
        self._file(number)
        self.ledger.change(number, State.DONE, now=now)

    def refuse(self, number: int) -> None:
        self.claim(number)
        quarantine(self.ledger, number, NotAnImage(path="p", cause="so"), self.hour.time)
        self._file(number)
        self.ledger.note(number, now=self.hour.time, error_file="f/p.error.txt")

    def _file(self, number: int) -> None:
        for drop in self.the(number).drops:
            if drop.next_place and drop.next_where:
                there = drop.place is not Place.INBOX or self.files.get(drop.path) == drop.stat
                place = drop.next_place if there else Place.GONE
                self.ledger.moved(drop.id, place, drop.next_where)
                if there and drop.place is Place.INBOX:
                    del self.files[drop.path]

    def file_aside(self) -> None:
        """Move the originals of what the intake has set aside."""
        for job in self.ledger.jobs([State.QUARANTINED]):
            self._file(job.id)

    def done(self, *photos: str) -> list[int]:
        """Photos that were dropped alone and are done; their jobs."""
        self.drop(*photos)
        self.look()
        jobs = [self.of(photo).id for photo in photos]
        for job in jobs:
            self.finish(job)
        return jobs

    def the(self, number: int) -> Job:
        job = self.ledger.job(number)
        assert job is not None
        return job

    def of(self, path: str) -> Job:
        """The job that has a file of the inbox."""
        [job] = [
            job
            for job in self.ledger.live("m")
            if any(d.path == path and d.place is Place.INBOX for d in job.drops)
        ]
        return job

    def later(self, seconds: float) -> None:
        self.hour.time += seconds


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = make_house(tmp_path, REDO_AFTER)
    yield made
    made.ledger.close()


def make_house(folder: Path, redo_after: float) -> House:
    config = parse("lanes: [{name: m, root: /srv/m, task: matte}]", "x")
    ledger, hour, lane = Ledger(folder / "ledger.sqlite3"), Hour(), LaneState(config.lanes[0])
    hands: Any = None
    intake = Intake(
        lane,
        ledger,
        hands,
        config.scan,
        clock=Clock(now=lambda: hour.time),
        say=lambda *words, **facts: None,
        patience=5.0,
        redo_after=redo_after,
    )
    return House(ledger, intake, hour, lane)


def drops(job: Job) -> set[tuple[str, str]]:
    return {(drop.role.value, drop.place.value) for drop in job.drops}


# A mask that comes later.


def test_a_mask_for_a_finished_photo_waits_for_a_new_photo_and_then_has_it_done_again(
    house: House,
) -> None:
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    house.look()
    assert house.of("p_mask.png").state is State.WAITING
    house.later(REDO_AFTER - 1)
    house.look()
    assert house.the(job).state is State.DONE
    house.later(2)
    house.look()
    again = house.of("p_mask.png")
    assert (again.id, again.state, again.source) == (job, State.READY, "mask")
    assert drops(again) == {("image", "archive"), ("mask", "inbox")}
    assert (again.attempts, again.crashes, again.interrupted) == (0, 0, 0)
    house.finish(job)
    assert drops(house.the(job)) == {("image", "archive"), ("mask", "archive")}


def test_no_look_in_between_changes_that(house: House) -> None:
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    for _ in range(6):
        house.look()
        house.later(5)
    assert house.of("p_mask.png").id == job
    assert len(house.ledger.jobs(list(State))) == 1  # what lent it its mask is told of no more


def test_where_nobody_can_wait_it_is_done_again_at_once(tmp_path: Path) -> None:
    house = make_house(tmp_path, 0.0)
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    house.look()
    assert house.of("p_mask.png").id == job
    house.ledger.close()


def test_a_clock_that_is_set_back_does_not_make_it_wait_for_ever(house: House) -> None:
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    house.look()
    house.later(-86400)
    house.look()
    assert house.of("p_mask.png").id == job


def test_a_new_photo_of_that_name_takes_the_mask(house: House) -> None:
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    house.look()
    house.drop("p.jpg")
    house.look()
    new = house.of("p.jpg")
    assert new.id != job
    assert new.id == house.of("p_mask.png").id
    assert house.the(job).state is State.DONE


def test_a_mask_and_a_photo_that_come_together_are_new_work(house: House) -> None:
    [job] = house.done("p.jpg")
    house.later(100)
    house.drop("p_mask.png", "p.jpg")
    house.look(moving=("p.jpg",))
    house.look()
    assert house.of("p.jpg").id == house.of("p_mask.png").id != job


def test_a_photo_that_failed_to_be_done_again_is_done_again_with_the_next_mask(
    house: House,
) -> None:
    [job] = house.done("p.jpg")
    for _ in range(2):
        house.drop("p_mask.png")
        house.look()
        house.later(REDO_AFTER)
        house.look()
        house.refuse(job)
        assert drops(house.the(job)) == {("image", "archive"), ("mask", "failed")}
    house.drop("p_mask.png")
    house.look()
    house.later(REDO_AFTER)
    house.look()
    again = house.the(job)
    assert (again.state, again.error, again.error_file) == (State.READY, None, None)


def test_a_mask_that_is_no_picture_is_set_aside_and_leaves_the_photo_alone(
    tmp_path: Path,
) -> None:
    house = make_house(tmp_path, 0.0)
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    house.intake._presence.trust("p_mask.png", house.files["p_mask.png"], 0)
    house.intake._presence.bad["p_mask.png"] = NotAnImage(path="p_mask.png", cause="so")
    house.look()
    assert house.of("p_mask.png").state is State.QUARANTINED
    assert house.the(job).state is State.DONE
    house.ledger.close()


# Two masks, and no guess.


@pytest.mark.parametrize("redo_after", [0.0, REDO_AFTER])
def test_two_masks_for_one_finished_photo_are_a_conflict_that_names_both(
    tmp_path: Path, redo_after: float
) -> None:
    house = make_house(tmp_path, redo_after)
    [job] = house.done("p.jpg")
    house.drop("p_mask.png", "p-mask.png")
    house.look()
    aside = house.of("p_mask.png")
    assert (aside.id, aside.state) == (house.of("p-mask.png").id, State.QUARANTINED)
    assert "p-mask.png and p_mask.png" in (aside.error or "")
    assert house.the(job).state is State.DONE
    house.look()
    assert house.the(job).state is State.DONE
    house.ledger.close()


def test_a_second_mask_that_comes_while_the_first_waits_is_a_conflict_too(house: House) -> None:
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    house.look()
    house.drop("p-mask.png")
    house.look()
    assert house.of("p_mask.png").state is house.of("p-mask.png").state is State.QUARANTINED
    assert house.the(job).state is State.DONE


def test_masks_for_several_finished_photos_do_not_get_into_each_others_way(house: House) -> None:
    jobs = house.done("a.jpg", "b.jpg", "sub/a.jpg")
    house.drop("a_mask.png", "b_mask.png", "sub/masks/a.png")
    house.look()
    house.later(REDO_AFTER)
    house.look()
    owners = [house.of(mask).id for mask in ("a_mask.png", "b_mask.png", "sub/masks/a.png")]
    assert owners == jobs


# What a person does while it waits for its turn, or is under way.


@pytest.fixture
def again(house: House) -> int:
    """A photo that is ready to be done again."""
    [job] = house.done("p.jpg")
    house.drop("p_mask.png")
    house.look()
    house.later(REDO_AFTER)
    house.look()
    assert house.the(job).state is State.READY
    return job


def test_a_mask_that_was_used_is_no_job_to_be_counted(house: House, again: int) -> None:
    """It was one while it waited; one that is taken away is told of."""
    house.finish(again, "d/p (1).png")
    assert house.ledger.counts()[State.CANCELLED] == 0
    assert house.ledger.counts_by_lane()["m"][State.CANCELLED] == 0
    assert house.ledger.jobs([State.CANCELLED]) == []
    house.drop("lone_mask.png")
    house.look()
    del house.files["lone_mask.png"]
    house.look()
    assert house.ledger.counts()[State.CANCELLED] == 1
    assert len(house.ledger.jobs([State.CANCELLED])) == 1


def test_a_mask_that_is_replaced_holds_it_until_it_has_settled(house: House, again: int) -> None:
    house.drop("p_mask.png")
    house.look(moving=("p_mask.png",))
    assert house.the(again).state is State.WAITING
    house.look()
    job = house.the(again)
    assert job.state is State.READY
    assert job.mask is not None
    assert job.mask.stat == house.files["p_mask.png"]
    assert job.image is not None
    assert job.image.place is Place.ARCHIVE


def test_a_mask_that_is_taken_away_leaves_what_was_done_before(house: House, again: int) -> None:
    del house.files["p_mask.png"]
    house.look()
    job = house.the(again)
    assert (job.state, job.output) == (State.DONE, "d/p.png")
    house.drop("p_mask.png")
    house.look()
    house.later(REDO_AFTER)
    house.look()
    assert house.the(again).state is State.READY


def result(job: Job) -> tuple[object, ...]:
    """What the books say was made of a job."""
    return job.output, job.output_sha256, job.output_role, job.companions, job.notes


def test_where_a_try_failed_for_a_while_too(house: House, again: int) -> None:
    before = house.the(again)
    house.claim(again)
    house.ledger.note(again, now=NOW, output_role="review", notes=["another"])
    house.ledger.change(again, State.FAILED, now=NOW, next_attempt_at=NOW + 9, output=None)
    del house.files["p_mask.png"]
    house.look()
    job = house.the(again)
    assert (job.state, job.earlier) == (State.DONE, None)
    assert result(job) == result(before)
    assert job.completed_at == before.completed_at


def test_what_was_done_before_stands_where_the_mask_is_refused(house: House, again: int) -> None:
    """Until a mask gets through: then that counts, and nothing else."""
    before = house.the(again)
    day = (before.completed_at or 0.0, (before.completed_at or 0.0) + 1)
    house.later(100.0)
    for _ in range(2):
        house.refuse(again)
        job = house.the(again)
        assert job.state is State.QUARANTINED
        assert result(job) == result(before)
        assert job.completed_at == house.hour.time
        assert [one.id for one in house.ledger.finished("m", *day)] == [again]
        house.ledger.change(again, State.READY, now=NOW, completed_at=None)
    house.finish(again, "d/p (1).png")
    assert house.the(again).output == "d/p (1).png"
    assert house.the(again).earlier is None
    assert house.ledger.finished("m", *day) == []


def test_another_photo_of_that_name_takes_the_mask_from_it(house: House, again: int) -> None:
    archived = house.the(again).image
    assert archived is not None
    house.drop("p.jpg")
    house.look(moving=("p.jpg",))
    assert house.the(again).state is State.WAITING
    house.look()
    new = house.of("p.jpg")
    assert new.id == house.of("p_mask.png").id != again
    assert (house.the(again).state, house.the(again).output) == (State.DONE, "d/p.png")
    assert house.the(again).image == archived


def test_another_photo_never_lends_its_version_to_the_one_in_the_archive(
    house: House, again: int
) -> None:
    archived = house.the(again).image
    house.drop("p.jpg", "p_mask.png")
    house.look(moving=("p_mask.png",))
    assert house.the(again).image == archived


def test_another_photo_of_that_name_waits_while_it_is_under_way(house: House, again: int) -> None:
    house.claim(again)
    house.drop("p.jpg")
    house.look()
    new = house.of("p.jpg")
    assert (new.source, new.state) == ("photo", State.READY)
    assert drops(house.the(again)) == {("image", "archive"), ("mask", "inbox")}
    house.finish(again)
    house.look()
    assert house.of("p.jpg").id == new.id


def test_a_mask_for_a_photo_that_is_being_worked_on_is_for_that_and_not_for_an_older_one(
    house: House,
) -> None:
    """Of the same name: yesterday's is done, today's was faster than its mask."""
    [old] = house.done("p.jpg")
    house.drop("p.jpg")
    house.look()
    new = house.of("p.jpg").id
    house.claim(new)
    house.drop("p_mask.png")
    for _ in range(4):
        house.look()
        house.later(REDO_AFTER)
    assert house.the(old).state is State.DONE
    assert house.of("p_mask.png").state is State.WAITING
    house.finish(new)
    house.look()
    assert house.of("p_mask.png").id == new


# Whose mask it is.


@pytest.mark.parametrize(
    ("photo", "mask"),
    [
        ("p.jpg", "p_mask.png"),
        ("p.jpg", "p.mask.png"),
        ("p.jpg", "p.jpg.mask.png"),
        ("p.jpg", "p.jpg_mask.png"),
        ("p.jpg", "masks/p.png"),
        ("sub/p.jpg", "sub/p_mask.png"),
        ("sub/p.jpg", "sub/masks/p_mask.png"),
        ("P.JPG", "p_mask.png"),
        ("cafe\u0301.jpg", "caf\u00e9_mask.png"),
        (os_name := "sm\udcf6rg\udce5s.jpg", os_name.replace(".jpg", "_mask.png")),
        ("a.b.jpg", "a.b_mask.png"),
        ("p_mask.jpg", "p_mask_mask.png"),
    ],
)
def test_it_is_found_as_it_would_be_beside_the_photo(house: House, photo: str, mask: str) -> None:
    jobs = house.done(photo) if "_mask." not in photo else []
    if not jobs:
        # A photo that can be read as a mask was done together with its own.
        house.drop(photo, mask)
        house.look()
        jobs = [house.of(photo).id]
        house.finish(jobs[0])
    assert meant_by(mask, "m", house.ledger) == jobs[0]


@pytest.mark.parametrize(
    "mask",
    [
        "q_mask.png",
        "p1_mask.png",
        "sub/p_mask.png",
        "_mask.png",
        "p.png",
        "notes.txt",
        "p.jpg.bak_mask.png",
        "p._mask.png",
    ],
)
def test_a_mask_of_another_name_means_nothing(house: House, mask: str) -> None:
    house.done("p.jpg", "p2.jpg")
    assert meant_by(mask, "m", house.ledger) is None
    assert meant_by("p_mask.png", "another lane", house.ledger) is None


def test_photos_of_several_names_leave_it_open_unless_one_is_spelled_out(house: House) -> None:
    jpg, _png = house.done("p.jpg", "p.png")
    assert meant_by("p_mask.png", "m", house.ledger) is None
    assert meant_by("p.jpg_mask.png", "m", house.ledger) == jpg
    upper, lower = house.done("Q.jpg", "q.jpg")
    assert meant_by("q_mask.png", "m", house.ledger) == lower
    assert meant_by("Q_mask.png", "m", house.ledger) == upper


def test_the_newest_of_many_photos_of_one_name_is_meant(house: House) -> None:
    jobs = [house.done("p.jpg")[0] for _ in range(3)]
    assert meant_by("p_mask.png", "m", house.ledger) == jobs[-1]


def test_a_photo_is_found_among_hundreds_whose_names_begin_alike(house: House) -> None:
    first, *_ = house.done("1.jpg", *(f"1{number}.jpg" for number in range(130)))
    assert meant_by("1_mask.png", "m", house.ledger) == first


def test_a_photo_that_is_no_longer_in_the_archive_is_not_meant(house: House) -> None:
    [job] = house.done("p.jpg")
    image = house.the(job).image
    assert image is not None
    house.ledger.moved(image.id, Place.GONE, image.where)
    assert meant_by("p_mask.png", "m", house.ledger) is None


def test_the_order_in_which_files_are_found_changes_nothing() -> None:
    photo = Drop(1, 7, Role.IMAGE, "p.jpg", Place.ARCHIVE, "d/p.jpg", FileStat(1, 1, 1))
    mask = Drop(2, 7, Role.MASK, "p_mask.png", Place.INBOX, "p_mask.png", FileStat(1, 1, 1))
    again = Job(7, "m", "matte", State.READY, "mask", "p.jpg", 0.0, 0.0, drops=(photo, mask))
    lone = replace(mask, id=3, job=8, path="q_mask.png", where="q_mask.png")
    waits = replace(again, id=8, state=State.WAITING, name="q_mask.png", drops=(lone,))
    verdicts = [
        Pair("p.jpg", "p_mask.png", None, "mask"),
        WaitingMask("q_mask.png"),
        WaitingMask("r_mask.png"),
        WaitingMask("r.mask.png"),
        Pair("s.jpg", None, None, "photo"),
    ]
    earlier = {"q_mask.png": 4, "r_mask.png": 5, "r.mask.png": 5}
    told = {
        tuple(sorted(map(str, reconcile(order, jobs, {}, NOW, 86400.0, earlier=earlier))))
        for order in itertools.permutations(verdicts)
        for jobs in ([again, waits], [waits, again])
    }
    assert len(told) == 1


# Whatever people do, and in whatever order.


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_every_file_is_in_one_job_and_every_step_is_legal(
    tmp_path: Path, seed: int
) -> None:
    """At the end nothing is lost: what was not set aside is done, and each photo once a drop."""
    chance = random.Random(seed)
    house = make_house(tmp_path, chance.choice([0.0, REDO_AFTER]))
    names = ["p.jpg", "p_mask.png", "p-mask.png", "P.jpg", "q.png", "q_mask.png"]
    for _ in range(40):
        _something(house, chance, names)
        _check(house)
    for _ in range(12):
        house.look()
        house.file_aside()
        house.later(REDO_AFTER)
        for job in house.ledger.jobs([State.READY, State.RUNNING, State.FAILED]):
            house.finish(job.id, f"d/{job.id}.png")
        _check(house)
    waiting = house.ledger.jobs([State.WAITING])
    assert all(job.image is None for job in waiting), "a photo never waits here"
    assert all("_mask" in name or "-mask" in name for name in house.files), "a photo was left"
    house.ledger.close()


def _something(house: House, chance: random.Random, names: list[str]) -> None:
    name = chance.choice(names)
    match chance.randrange(8):
        case 0 | 1 | 2:
            house.drop(name)
        case 3:
            house.files.pop(name, None)
        case 4:
            house.later(chance.choice([1.0, REDO_AFTER]))
        case 5 | 6:
            moving = tuple(name for name in names if chance.random() < 0.2)
            house.look(moving=moving)
            house.file_aside()
        case _:
            _work(house, chance)


def _work(house: House, chance: random.Random) -> None:
    ready = house.ledger.jobs([State.READY, State.RUNNING])
    for job in ready[: chance.randrange(1, 3)]:
        current = all(
            house.files.get(d.path) == d.stat for d in job.drops if d.place is Place.INBOX
        )
        if job.state is State.READY and chance.random() < 0.5:
            house.claim(job.id)
        elif not current:
            state = State.WAITING
            house.ledger.unsettle(job.id)
            house.ledger.change(job.id, state, now=house.hour.time, output=None, **AFRESH)
        elif chance.random() < 0.2 and job.state is State.READY:
            house.refuse(job.id)
        else:
            house.finish(job.id, f"d/{job.id}.png")


def _check(house: House) -> None:
    live = house.ledger.live("m")
    owned = [d.path for j in live for d in j.drops if d.place is Place.INBOX]
    assert len(owned) == len(set(owned)), "a file in two jobs"
    for job in live:
        images = [drop for drop in job.drops if drop.role is Role.IMAGE]
        assert len(images) <= 1
        if job.state is State.READY:
            assert job.complete
