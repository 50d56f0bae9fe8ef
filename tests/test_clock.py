"""The two clocks."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

import pytest

from retouchd.clock import Clock


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_local_time_knows_its_offset_on_both_sides_of_a_change() -> None:
    """2026-10-25, 02:30 comes twice in Berlin."""
    twice = 1_792_888_200.0
    first, second = (Clock(now=partial(float, t)).local() for t in (twice, twice + 3600))
    assert (first.hour, first.minute) == (second.hour, second.minute) == (2, 30)
    assert first.utcoffset() == timedelta(hours=2)
    assert second.utcoffset() == timedelta(hours=1)


def test_the_monotonic_clock_is_never_set_back() -> None:
    clock = Clock()
    assert clock.monotonic() <= clock.monotonic()
    assert abs(clock.now() - time.time()) < 5
