"""What follows from a failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.config import RetryPolicy
from retouchd.errors import (
    DiskFull,
    EngineTrouble,
    FileBusy,
    GaveUp,
    HandDied,
    IoTrouble,
    NotAnImage,
    OutOfMemory,
    Poisonous,
    RetouchdError,
    RootLost,
    ShareHung,
    Unexpected,
)
from retouchd.job import Job, State
from retouchd.retry import (
    MAX_INTERRUPTED,
    Again,
    PauseLane,
    Quarantine,
    Resettle,
    after_failure,
    after_restart,
    backoff,
)

POLICY = RetryPolicy()
JOB = Job(7, "a", "inpaint", State.RUNNING, "mask", "photo.png", 0.0, 0.0, attempts=1)


def step(error: RetouchdError, job: Job = JOB) -> object:
    return after_failure(error, job, POLICY, now=1000.0, jitter=0.0)


def test_a_bad_drop_is_set_aside_at_once() -> None:
    error = NotAnImage(path="photo.png", cause="text")
    assert step(error) == Quarantine(error)


@pytest.mark.parametrize(
    "error",
    [
        DiskFull(path="/x", cause="full"),
        RootLost(path="/x", cause="gone", lane="a"),
        ShareHung(path="/x", seconds="60"),
    ],
)
def test_the_environment_pauses_the_lane_however_often(error: RetouchdError) -> None:
    assert step(error, replace(JOB, attempts=1000)) == PauseLane(error)  # type: ignore[arg-type]


def test_a_file_that_changed_settles_anew() -> None:
    assert step(FileBusy(path="photo.png"), replace(JOB, attempts=1000)) == Resettle()


def test_a_file_that_is_always_said_to_have_changed_and_never_has_is_given_up() -> None:
    error = FileBusy(path="photo.png")
    assert step(error, replace(JOB, interrupted=MAX_INTERRUPTED - 2)) == Resettle()
    decision = step(error, replace(JOB, interrupted=MAX_INTERRUPTED - 1))
    assert isinstance(decision, Quarantine)
    assert isinstance(decision.reason, GaveUp)
    assert error.message in decision.reason.message
    assert f"failed {MAX_INTERRUPTED} times" in decision.reason.message
    assert "retouchd retry 7" in decision.reason.advice


def test_where_nobody_sees_files_settle_a_change_counts_like_any_trouble() -> None:
    def step(attempts: int) -> object:
        job, error = replace(JOB, attempts=attempts), FileBusy(path="photo.png")
        return after_failure(error, job, POLICY, now=1000.0, jitter=0.0, watched=False)

    assert isinstance(step(POLICY.attempts - 1), Again)
    assert isinstance(step(POLICY.attempts), Quarantine)


@pytest.mark.parametrize(
    "error",
    [OutOfMemory(what="it"), EngineTrouble(model="m", cause="x"), Unexpected(cause="a bug")],
)
def test_other_trouble_is_given_up_after_all_attempts_with_its_own_words(
    error: RetouchdError,
) -> None:
    assert isinstance(step(error, replace(JOB, attempts=POLICY.attempts - 1)), Again)
    decision = step(error, replace(JOB, attempts=POLICY.attempts))
    assert isinstance(decision, Quarantine)
    assert isinstance(decision.reason, GaveUp)
    assert error.message in decision.reason.message
    assert decision.reason.advice == error.advice
    assert "6 times" in decision.reason.message


def test_a_disk_that_errs_is_tried_for_ever() -> None:
    assert isinstance(step(IoTrouble(path="/x", cause="EIO"), replace(JOB, attempts=999)), Again)


def test_a_photo_that_kills_its_process_twice_is_set_aside() -> None:
    error = HandDied(path="photo.png", cause="SIGSEGV")
    assert isinstance(step(error), Again)
    decision = step(error, replace(JOB, crashes=1))
    assert isinstance(decision, Quarantine)
    assert isinstance(decision.reason, Poisonous)
    assert "2 times (SIGSEGV)" in decision.reason.message
    assert "retouchd retry 7" in decision.reason.advice


def test_the_wait_doubles_up_to_its_limit() -> None:
    waits = [backoff(attempt, POLICY, jitter=1.0) for attempt in range(1, 12)]
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert waits[-1] == POLICY.longest


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_every_wait_is_within_its_bounds(attempts: int, jitter: float) -> None:
    assert 0 < backoff(attempts, POLICY, jitter) <= POLICY.longest


def test_after_a_restart_without_evidence_nobody_is_blamed() -> None:
    """A power cut or ``kill -9`` is not the photo's fault."""
    assert after_restart(replace(JOB, crashes=9, interrupted=3), None, POLICY) is None


def test_after_a_restart_with_evidence_the_second_time_counts() -> None:
    assert after_restart(replace(JOB, crashes=1, interrupted=1), "SIGSEGV", POLICY) is None
    decision = after_restart(replace(JOB, crashes=2, interrupted=2), "SIGSEGV", POLICY)
    assert decision is not None
    assert "SIGSEGV" in decision.reason.message


def test_a_job_that_always_runs_when_the_service_ends_is_set_aside_at_last() -> None:
    assert after_restart(replace(JOB, interrupted=MAX_INTERRUPTED - 1), None, POLICY) is None
    decision = after_restart(replace(JOB, interrupted=MAX_INTERRUPTED), None, POLICY)
    assert decision is not None
    # Some of these ends may have been changes of its files, and none is known to be its fault.
    assert isinstance(decision.reason, GaveUp)
    assert "10 times; the last time: the service ended meanwhile" in decision.reason.message
    assert "damaged" not in decision.reason.advice
    assert "retouchd retry 7" in decision.reason.advice
