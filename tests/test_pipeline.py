"""How the room for jobs under way is shared."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from retouchd.clock import Clock
from retouchd.pipeline import Pipeline

LANES = ("a", "b", "c")


def pipeline(under_way: str, capacity: int = 6) -> Pipeline:
    """One with a job of each of these lanes under way."""
    nothing: Any = SimpleNamespace()
    lanes: Any = [SimpleNamespace(name=name) for name in LANES]
    made = Pipeline(
        *(nothing, lanes, nothing, nothing, nothing),
        clock=Clock(),
        capacity=capacity,
        say=lambda *_, **__: None,
        wake=lambda: None,
    )
    made._flight.jobs = {number: (lane, Future()) for number, lane in enumerate(under_way)}
    return made


@pytest.mark.parametrize(
    ("under_way", "may_start"),
    [
        ("", "abc"),
        ("aaa", "abc"),
        ("aaaa", "bc"),
        ("aaaab", "c"),
        ("aaab", "abc"),
        ("aabc", "abc"),
        ("aaabc", "abc"),
    ],
)
def test_a_lane_leaves_room_for_each_that_has_nothing_under_way(
    under_way: str, may_start: str
) -> None:
    """Its own jobs may all wait for a share that hangs."""
    assert pipeline(under_way)._with_room(LANES) == list(may_start)
