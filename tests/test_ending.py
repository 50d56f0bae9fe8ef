"""The last words of `once`: what came of it, and why that is not all."""

from __future__ import annotations

from datetime import datetime

from retouchd.config import parse
from retouchd.ending import Ending, ending
from retouchd.errors import RootLost
from retouchd.job import FileStat, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, NewDrop

STAT = FileStat(1, 1, 1)
NOON = datetime(2026, 11, 21, 12, 0)
SEE = "retouchd jobs --state quarantined"


def lane(hours: str = "") -> LaneState:
    schedule = f", schedule: {{active: '{hours}'}}" if hours else ""
    return LaneState(parse(f"lanes: [{{name: web, root: /srv{schedule}}}]", "x").lanes[0])


def put(ledger: Ledger, name: str, state: State, role: Role = Role.IMAGE) -> int:
    drops = [NewDrop(role, name, STAT)]
    return ledger.add(lane="web", task="inpaint", source="mask", state=state, drops=drops, now=1.0)


def at_noon(
    ledger: Ledger,
    lane: LaneState,
    done: int = 0,
    set_aside: int = 0,
    unseen: str = "",
    cut: bool = False,
) -> Ending:
    said = {"done": done, "set_aside": set_aside, "cut": cut}
    return ending([lane], ledger, NOON, unseen=unseen.split(), **said)


def test_what_was_done_waits_and_was_set_aside_is_told_in_one_line(ledger: Ledger) -> None:
    put(ledger, "a.jpg", State.WAITING)
    put(ledger, "b.jpg", State.WAITING)
    put(ledger, "c_mask.png", State.WAITING, Role.MASK)
    found = at_noon(ledger, lane(), done=4, set_aside=1)
    assert found.line(SEE) == (
        "4 done, 2 wait for a mask, 1 waits for a photo, 1 set aside: see `retouchd jobs --state "
        "quarantined`"
    )
    assert found.reasons == ()


def test_where_there_is_nothing_that_is_said(ledger: Ledger) -> None:
    found = at_noon(ledger, lane())
    assert (found.line(SEE), found.code) == ("nothing to do", 0)


def test_stopped_before_it_has_looked_it_does_not_say_that_there_is_nothing(ledger: Ledger) -> None:
    found = at_noon(ledger, lane(), cut=True)
    assert (found.line(SEE), found.code) == ("nothing done", 75)
    (reason,) = found.reasons
    assert reason.startswith("It was stopped before every inbox had been looked at")


def test_what_was_set_aside_has_a_code_of_its_own_where_all_else_is_done(ledger: Ledger) -> None:
    assert at_noon(ledger, lane(), done=1, set_aside=1).code == 3
    put(ledger, "a.jpg", State.WAITING)
    assert at_noon(ledger, lane(), done=1).code == 0, "it may wait for its mask for long"
    put(ledger, "b.jpg", State.READY)
    assert at_noon(ledger, lane(), done=1, set_aside=1).code == 75


def test_a_lane_outside_its_hours_is_told_with_them(ledger: Ledger) -> None:
    put(ledger, "a.jpg", State.READY)
    found = at_noon(ledger, lane("22:00-06:00"))
    assert (found.unfinished, found.line(SEE)) == (1, "1 not finished")
    assert found.reasons == ("Lane web works between 22:00 and 06:00 only; 1 waits for that.",)


def test_hours_are_no_reason_where_nothing_waits_for_them(ledger: Ledger) -> None:
    assert at_noon(ledger, lane("22:00-06:00")).reasons == ()


def test_a_paused_lane_is_told_with_reason_and_remedy(ledger: Ledger) -> None:
    web = lane()
    web.pause_for(RootLost(path="/srv/outbox", cause="it is gone", lane="web"), 1.0)
    found = at_noon(ledger, web)
    (reason,) = found.reasons
    assert reason.startswith("Lane web is paused: The folder /srv/outbox is not the one")
    assert "retouchd adopt web" in reason
    assert found.line(SEE) == "nothing done"


def test_an_inbox_that_nobody_could_look_at_is_named(ledger: Ledger) -> None:
    (reason,) = at_noon(ledger, lane(), unseen="web").reasons
    assert "inbox of lane web could not be looked at" in reason


def test_what_failed_for_now_is_told_by_its_error(ledger: Ledger) -> None:
    number = put(ledger, "a.jpg", State.READY)
    ledger.change(number, State.RUNNING, now=2.0)
    ledger.change(number, State.FAILED, now=3.0, error="No memory.", next_attempt_at=9.0)
    (reason,) = at_noon(ledger, lane()).reasons
    assert reason == "Not finished in lane web: a.jpg. No memory. The next start goes on."


def test_what_a_person_cut_short_is_told(ledger: Ledger) -> None:
    put(ledger, "a.jpg", State.READY)
    (reason,) = at_noon(ledger, lane()).reasons
    assert reason.startswith("It ended before all of lane web was done: 1 left.")
