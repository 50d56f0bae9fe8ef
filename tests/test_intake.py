"""What one look at an inbox tells the ledger, while jobs go on beside it."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from retouchd.clock import Clock
from retouchd.config import parse
from retouchd.errors import HandDied, IoTrouble, RootLost, TransientError
from retouchd.intake import Intake
from retouchd.job import FileStat, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, NewDrop
from retouchd.listing import Found

PHOTO, MASK = FileStat(10, 1, 7), FileStat(5, 2, 8)


@pytest.fixture
def intake(ledger: Ledger) -> Intake:
    config = parse("lanes: [{name: a, root: /srv/a}]", "x")
    hands: Any = None
    return Intake(
        LaneState(config.lanes[0]),
        ledger,
        hands,
        config.scan,
        clock=Clock(),
        say=lambda *words, **facts: None,
        patience=5.0,
    )


@pytest.mark.parametrize(
    ("errors", "paused"),
    [
        ([IoTrouble(path="/srv/a/inbox", cause="it errs")], False),
        ([IoTrouble(path="/srv/a/inbox", cause="it errs")] * 2, True),
        ([HandDied(path="/srv/a/inbox", cause="SIGKILL")] * 2, False),
        ([RootLost(path="/srv/a/inbox", cause="it is not there", lane="a")], True),
    ],
)
def test_an_inbox_that_can_not_be_listed_pauses_its_lane_unless_it_is_a_blink(
    intake: Intake, errors: list[TransientError], paused: bool
) -> None:
    """`status` has to say so, and jobs that can't succeed shall not be tried."""
    queue = iter(errors)

    def fails() -> None:
        raise next(queue)

    intake._make_ready = fails  # type: ignore[method-assign]
    for _ in errors:
        intake._visit()
    assert (intake._lane.pause is not None) is paused
    if paused:
        assert intake._lane.pause is not None
        assert intake._lane.pause.reason == errors[-1].message


@pytest.fixture
def pair(ledger: Ledger) -> int:
    """A pair in the inbox, in a job that is at work."""
    drops = [NewDrop(Role.IMAGE, "p.png", PHOTO), NewDrop(Role.MASK, "p_mask.png", MASK)]
    number = ledger.add(
        lane="a", task="inpaint", source="mask", state=State.READY, drops=drops, now=1.0
    )
    ledger.change(number, State.RUNNING, now=1.0)
    return number


def states(ledger: Ledger) -> list[State]:
    return [job.state for job in ledger.live("a")]


@pytest.mark.parametrize("state", [State.READY, State.WAITING, State.FAILED])
def test_a_job_that_goes_back_to_the_queue_during_a_look_keeps_its_files(
    intake: Intake, ledger: Ledger, pair: int, state: State
) -> None:
    """While it was at work its files were left out of the list; they are not gone."""
    before = ledger.live("a")
    ledger.change(pair, state, now=2.0)
    intake._tell([], before)
    assert states(ledger) == [state]


def test_a_job_that_a_person_has_tried_again_during_a_look_keeps_its_files(
    intake: Intake, ledger: Ledger, pair: int
) -> None:
    ledger.change(pair, State.READY, now=2.0)
    ledger.change(pair, State.CANCELLED, now=2.0)
    before = ledger.live("a")
    ledger.change(pair, State.READY, now=3.0)
    intake._tell([], before)
    assert states(ledger) == [State.READY]


def test_a_file_replaced_under_a_job_that_goes_back_to_the_queue_gets_no_second_job(
    intake: Intake, ledger: Ledger, pair: int
) -> None:
    before = ledger.live("a")
    ledger.change(pair, State.READY, now=2.0)
    intake._tell([Found("p.png", 99, True)], before)
    assert states(ledger) == [State.READY]
    # The next look sees that it still moves.
    intake._tell([Found("p.png", 99, True), Found("p_mask.png", 8, True)], ledger.live("a"))
    assert states(ledger) == [State.WAITING]


def test_files_that_a_person_took_away_end_their_job(
    intake: Intake, ledger: Ledger, pair: int
) -> None:
    ledger.change(pair, State.READY, now=2.0)
    intake._tell([], ledger.live("a"))
    job = ledger.job(pair)
    assert job is not None
    assert job.state is State.CANCELLED


def test_a_ledger_that_takes_nothing_is_told_until_a_look_goes_well(intake: Intake) -> None:
    """It is no trouble of this lane alone, so the service hears of it and says it once."""
    full = sqlite3.OperationalError("database or disk is full")
    ends: list[Exception | None] = [full, full, None, full, RootLost(path="/", cause="-", lane="a")]
    queue, said = iter(ends), list[str]()

    def looks() -> float:
        if error := next(queue):
            raise error
        return 5.0

    intake._say = lambda event, **facts: said.append(event)
    intake._make_ready = lambda: None  # type: ignore[method-assign]
    intake._round = looks  # type: ignore[method-assign]
    heard = []
    for _ in ends:
        intake._next_scan = 0.0
        intake._visit()
        heard.append(intake.ledger_trouble)
    assert heard == [full, full, None, full, None]
    assert "intake trouble" not in said
