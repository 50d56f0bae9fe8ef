"""The lanes at run time."""

from __future__ import annotations

from datetime import datetime

import pytest

from retouchd.config import Lane, parse
from retouchd.errors import DiskFull, RootLost
from retouchd.lanes import Lanes, LaneState
from retouchd.roots import RootRef

NOON = datetime(2026, 11, 21, 12)
FULL = DiskFull(path="/srv/a/outbox", cause="No space left on device", needed=500)
LOST = RootLost(path="/srv/a/inbox", cause="it is not there", lane="a")


def configs(*more: str) -> tuple[Lane, ...]:
    text = "lanes:\n  - {name: a, root: /srv/a}\n  - {name: b, root: /srv/b}\n"
    return parse(text, "x", more).lanes


def ready(lane: LaneState) -> LaneState:
    lane.set_roots(
        {r: RootRef(lane.name, r, f"/srv/{lane.name}/{r}", "m") for r in lane.config.folders}
    )
    return lane


@pytest.fixture
def lanes() -> Lanes:
    made = Lanes(configs())
    for lane in made:
        ready(lane)
    return made


def lane(lanes: Lanes, name: str = "a") -> LaneState:
    found = lanes.get(name)
    assert found is not None
    return found


def test_a_lane_works_once_its_folders_are_known() -> None:
    lanes = Lanes(configs())
    assert lanes.working(NOON) == []
    ready(lane(lanes, "b"))
    assert lanes.working(NOON) == ["b"]
    assert lane(lanes, "b").root("inbox").path == "/srv/b/inbox"


def test_a_paused_lane_does_not_work_and_the_other_does(lanes: Lanes) -> None:
    assert lane(lanes).pause_for(LOST, 100.0) is True
    assert lanes.working(NOON) == ["b"]
    assert lane(lanes).resume() is True
    assert lane(lanes).resume() is False
    assert lanes.working(NOON) == ["a", "b"]


def test_a_lane_rests_outside_its_hours() -> None:
    lanes = Lanes(configs("lanes.a.schedule.active=22:00-06:00"))
    for one in lanes:
        ready(one)
    assert lanes.working(NOON) == ["b"]
    assert lanes.working(datetime(2026, 11, 21, 23)) == ["a", "b"]


def test_a_pause_says_why_and_since_when_it_has_lasted(lanes: Lanes) -> None:
    one = lane(lanes)
    one.pause_for(LOST, 100.0)
    assert one.pause_for(FULL, 200.0) is False
    assert one.pause is not None
    assert (one.pause.reason, one.pause.since) == (FULL.message, 100.0)
    assert "Free some space" in one.pause.remedy


def test_space_that_is_needed_stays_needed_whatever_else_happens(lanes: Lanes) -> None:
    """Otherwise the next look would find a few free bytes, and the lane would flap."""
    one = lane(lanes)
    one.pause_for(FULL, 100.0)
    one.pause_for(LOST, 200.0)
    assert one.pause is not None
    assert one.pause.needed == 500
    one.resume()
    one.pause_for(LOST, 300.0)
    assert one.pause is not None
    assert one.pause.needed == 0


def test_a_reload_keeps_what_is_known_of_lanes_whose_folders_stay(lanes: Lanes) -> None:
    before = lane(lanes)
    before.pause_for(LOST, 1.0)
    lanes.reload(configs("lanes.a.mask.dilate=3", "lanes.b.root=/srv/elsewhere"))
    assert lane(lanes) is before
    assert before.config.mask.dilate == 3
    assert before.pause is not None
    assert not lane(lanes, "b").ready


def test_a_lane_that_is_no_longer_configured_is_gone(lanes: Lanes) -> None:
    lanes.reload(configs()[:1])
    assert lanes.get("b") is None
    assert [one.name for one in lanes] == ["a"]
