"""What follows where a file changed under the work: it settles anew, wherever it is watched."""

from __future__ import annotations

from typing import Any

import pytest

from retouchd.clock import Clock
from retouchd.config import RetryPolicy, parse
from retouchd.errors import FileBusy, FolderLocked, InTheWay, RetouchdError
from retouchd.failing import Circumstances, Failing
from retouchd.job import FileStat, Job, Place, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, NewDrop
from retouchd.ways import folder_of_day

STAT = FileStat(1, 1, 1)
LANE = LaneState(parse("lanes: [{name: a, root: /srv/a, task: matte}]", "x").lanes[0])
NOW = 1_000_000.0
TODAY = folder_of_day(NOW)


def at_work(ledger: Ledger, image: Place, mask: Place) -> Job:
    """A job with a photo and a mask that lie in those folders."""
    drops = [NewDrop(Role.IMAGE, "p.jpg", STAT), NewDrop(Role.MASK, "p_mask.png", STAT)]
    number = ledger.add(
        lane="a", task="matte", source="mask", state=State.READY, drops=drops, now=1.0
    )
    ledger.change(number, State.RUNNING, now=1.0, attempts=3)
    job = ledger.job(number)
    assert job is not None
    for drop, place in zip(job.drops, (image, mask), strict=True):
        ledger.moved(drop.id, place, drop.where)
    return job


def who_fails(ledger: Ledger, forgotten: list[tuple[str, list[str]]]) -> Failing:
    filing: Any = None
    return Failing(
        ledger,
        filing,
        Clock(now=lambda: NOW),
        RetryPolicy(),
        say=lambda *words, **facts: None,
        forget=lambda lane, paths: forgotten.append((lane, paths)),
    )


@pytest.mark.parametrize(
    ("image", "mask", "state", "settles"),
    [
        (Place.INBOX, Place.INBOX, State.WAITING, ["p.jpg", "p_mask.png"]),
        # Done again with a mask from the inbox: nobody else would ever look at that one.
        (Place.ARCHIVE, Place.INBOX, State.WAITING, ["p_mask.png"]),
        # Tried again where it was set aside, with the mask of its folder.
        (Place.FAILED, Place.INBOX, State.WAITING, ["p_mask.png"]),
        (Place.FAILED, Place.FAILED, State.FAILED, []),
        (Place.ARCHIVE, Place.FAILED, State.FAILED, []),
    ],
)
def test_a_file_that_changed_settles_anew_where_the_intake_sees_it(
    ledger: Ledger, image: Place, mask: Place, state: State, settles: list[str]
) -> None:
    forgotten: list[tuple[str, list[str]]] = []
    failing = who_fails(ledger, forgotten)
    job = at_work(ledger, image, mask)
    failing.failed(job, LANE, FileBusy(path="p_mask.png"), Circumstances())
    after = ledger.job(job.id)
    assert after is not None
    # Nothing is held against it but the change itself, until it is seen to be another file.
    counted = (2, 1) if settles else (3, 0)
    assert (after.state, after.attempts, after.interrupted) == (state, *counted)
    assert forgotten == ([("a", settles)] if settles else [])
    watched = {drop.path for drop in after.drops if drop.stat is None}
    assert watched >= set(settles)


def in_the_way(role: str, folder: str) -> RetouchdError:
    return InTheWay(path=f"/srv/a/{role}/{folder}", kind="a file", role=role, folder=folder)


def named(ledger: Ledger, state: State) -> Job:
    """A job whose output is about to appear, or did."""
    job = at_work(ledger, Place.INBOX, Place.INBOX)
    ledger.note(job.id, now=1.0, output=f"{TODAY}/album/p.png", output_sha256="x")
    if state is not State.RUNNING:
        ledger.change(job.id, state, now=1.0)
    return ledger.job(job.id) or job


@pytest.mark.parametrize("state", [State.RUNNING, State.PUBLISHED])
def test_what_is_in_every_jobs_way_pauses_the_lane_and_is_held_against_no_job(
    ledger: Ledger, state: State
) -> None:
    lane, heard = LaneState(LANE.config), list[tuple[str, list[str]]]()
    job = named(ledger, state)
    role = "outbox" if state is State.RUNNING else "archive"
    who_fails(ledger, heard).failed(job, lane, in_the_way(role, TODAY), Circumstances())
    assert lane.pause is not None
    assert f"/srv/a/{role}/{TODAY}" in lane.pause.reason
    # The intake is told, for it sees when it is gone.
    assert heard == [("a", [])]
    after = ledger.job(job.id)
    assert after is not None
    assert (after.state, after.attempts, after.error) == (state, job.attempts, None)


@pytest.mark.parametrize("state", [State.RUNNING, State.PUBLISHED])
def test_what_is_in_one_jobs_way_leaves_the_lane_alone_and_is_told_of_that_job(
    ledger: Ledger, state: State
) -> None:
    """A folder called like an earlier output must not stop all that comes after it."""
    lane = LaneState(LANE.config)
    job, error = named(ledger, state), in_the_way("outbox", f"{TODAY}/album")
    who_fails(ledger, []).failed(job, lane, error, Circumstances())
    assert lane.pause is None
    after = ledger.job(job.id)
    assert after is not None
    assert (after.state, after.attempts) == (state, job.attempts)
    assert (after.error, after.remedy) == (error.message, error.advice)
    assert after.next_attempt_at is not None
    assert after.next_attempt_at > NOW


@pytest.mark.parametrize(("folder", "paused"), [("", True), ("album", False), ("2024/may", False)])
def test_a_folder_that_lets_nothing_out_holds_up_only_what_lies_in_it(
    ledger: Ledger, folder: str, paused: bool
) -> None:
    """People make folders in an inbox, by default for nobody else to write in."""
    lane, job = LaneState(LANE.config), named(ledger, State.PUBLISHED)
    error = FolderLocked(path=f"/srv/a/inbox/{folder}", cause="Permission denied", folder=folder)
    who_fails(ledger, []).failed(job, lane, error, Circumstances())
    assert (lane.pause is not None) is paused
    after = ledger.job(job.id)
    assert after is not None
    assert (after.error is None) is paused


def test_why_a_job_was_set_aside_is_not_forgotten_over_what_is_in_its_way(ledger: Ledger) -> None:
    job = at_work(ledger, Place.INBOX, Place.INBOX)
    ledger.change(job.id, State.QUARANTINED, now=1.0, error="it is no picture", remedy="mend it")
    current, error = ledger.job(job.id) or job, in_the_way("failed", f"{TODAY}/album")
    who_fails(ledger, []).failed(current, LaneState(LANE.config), error, Circumstances())
    after = ledger.job(job.id)
    assert after is not None
    assert (after.error, after.remedy) == ("it is no picture", "mend it")
    assert after.next_attempt_at is not None
