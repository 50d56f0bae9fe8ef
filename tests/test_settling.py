"""When a dropped file counts as there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.job import FileStat
from retouchd.settling import (
    GiveUp,
    Observation,
    Ready,
    Settled,
    TryAgain,
    Wait,
    after_check,
    decide,
    observe,
)

STAT = FileStat(size=1000, mtime_ns=5, inode=7)
GROWN = FileStat(size=2000, mtime_ns=6, inode=7)
seconds = st.floats(0, 1e9)


def seen(*looks: tuple[FileStat, float], touched: bool = False) -> Observation:
    observation = None
    for stat, now in looks:
        observation = observe(observation, stat, now, touched)
    assert observation is not None
    return observation


def test_one_look_never_settles_however_late_it_is_judged():
    assert decide(seen((STAT, 10)), 2, now=10) == Wait(until=12)
    assert decide(seen((STAT, 10)), 2, now=500) == Wait(until=500)


def test_two_equal_looks_far_enough_apart_settle():
    assert decide(seen((STAT, 10), (STAT, 11.9)), 2, now=11.9) == Wait(until=12)
    assert decide(seen((STAT, 10), (STAT, 11), (STAT, 12)), 2, now=12) == Settled()


@pytest.mark.parametrize("change", [{"size": 1001}, {"mtime_ns": 4}, {"inode": 8}])
def test_any_change_of_the_stat_starts_the_clock_anew(change):
    other = FileStat(**{"size": 1000, "mtime_ns": 5, "inode": 7} | change)
    observation = seen((STAT, 0), (other, 10))
    assert observation == Observation(other, since=10, seen=10, first_seen=0)
    assert decide(observation, 2, now=10) == Wait(until=12)


def test_a_file_that_changes_and_changes_back_starts_anew():
    assert seen((STAT, 0), (GROWN, 5), (STAT, 10)).since == 10


def test_a_writers_event_starts_the_clock_anew_although_nothing_looks_different():
    observation = observe(seen((STAT, 0), (STAT, 1)), STAT, 2, touched=True)
    assert decide(observation, 2, now=2) == Wait(until=4)
    assert observation.first_seen == 0


def test_file_times_from_any_clock_make_no_difference():
    for mtime in (-(10**18), 0, 10**30):
        stat = FileStat(1, mtime, 1)
        assert decide(seen((stat, 0), (stat, 2)), 2, now=2) == Settled()


def test_a_settle_time_of_zero_needs_one_look():
    assert decide(seen((STAT, 10)), 0, now=10) == Settled()


@given(seconds, st.floats(0, 1e5), st.floats(0, 1e5))
def test_a_look_at_the_time_that_was_asked_for_settles(start, settle, late):
    verdict = decide(seen((STAT, start)), settle, now=start)
    if isinstance(verdict, Wait):
        again = verdict.until + late
        assert decide(seen((STAT, start), (STAT, again)), settle, now=again) == Settled()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 100)), min_size=1, max_size=20))
def test_a_file_settles_only_if_nothing_happened_for_the_settle_time(steps):
    """steps: (something happened before this look, seconds since the previous look)."""
    now, last_change, size, observation = 0, 0, 0, None
    for happened, pause in steps:
        now += pause
        if happened or observation is None:
            last_change, size = now, size + 1
        observation = observe(observation, FileStat(size, 0, 0), now, touched=False)
        settled = decide(observation, 50, now) == Settled()
        assert settled == (now - last_change >= 50)


def test_a_complete_file_is_ready():
    assert after_check(seen((STAT, 0), (STAT, 2)), True, 2, 600) == Ready()
    assert after_check(seen((STAT, 0), (STAT, 2)), True, 9999, 600) == Ready()


def test_an_incomplete_file_is_checked_again_at_growing_intervals_until_the_deadline():
    observation, now, checks = seen((STAT, 0), (STAT, 2)), 2.0, []
    while isinstance(verdict := after_check(observation, False, now, 600), TryAgain):
        checks.append(verdict.at - now)
        now = verdict.at
    assert verdict == GiveUp()
    assert now == 600
    assert checks[:-1] == sorted(checks[:-1])
    assert min(checks[:-1]) >= 1
    assert max(checks) <= 60
    assert len(checks) < 25


def test_the_deadline_counts_from_the_last_change():
    observation = seen((STAT, 0), (STAT, 500), (GROWN, 590))
    assert isinstance(after_check(observation, False, 1189, 600), TryAgain)
    assert after_check(observation, False, 1190, 600) == GiveUp()


def test_an_empty_file_is_never_complete_whatever_the_check_says():
    empty = FileStat(0, 1, 1)
    assert isinstance(after_check(seen((empty, 0)), True, 2, 600), TryAgain)
    assert after_check(seen((empty, 0)), True, 600, 600) == GiveUp()


@given(seconds, st.floats(0, 1e5), st.floats(0, 1e5))
def test_every_next_check_lies_ahead_and_not_beyond_the_deadline(start, quiet, incomplete_after):
    verdict = after_check(seen((STAT, start)), False, start + quiet, incomplete_after)
    if isinstance(verdict, TryAgain):
        assert start + quiet < verdict.at <= start + incomplete_after
    else:
        assert start + quiet >= start + incomplete_after
