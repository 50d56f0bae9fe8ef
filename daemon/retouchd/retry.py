"""Pure: what to do after a failure, as a value that the pipeline applies."""

from __future__ import annotations

from dataclasses import dataclass

from retouchd.config import RetryPolicy
from retouchd.errors import (
    EnvironmentTrouble,
    FileBusy,
    GaveUp,
    HandDied,
    IoTrouble,
    PermanentError,
    Poisonous,
    RetouchdError,
)
from retouchd.job import Job

MAX_INTERRUPTED = 10
"""Ends of an attempt without a known cause that a job may see before it is set aside: restarts, and
changes of its files after which they are what they were."""


@dataclass(frozen=True)
class Again:
    """Try again at ``at`` (seconds since the epoch)."""

    at: float


@dataclass(frozen=True)
class PauseLane:
    """The job did nothing wrong: give the attempt back and pause its lane."""

    reason: EnvironmentTrouble


@dataclass(frozen=True)
class Resettle:
    """The files changed: wait until they are still, then start from the beginning."""


@dataclass(frozen=True)
class Quarantine:
    """Set the job aside."""

    reason: PermanentError


_STEADY = (
    "See what writes to it, or why the share tells different things about it; then run "
    "`retouchd retry {job}`."
)
_CALM = (
    "See what ends the service or the machine; if the file is sound, `retouchd retry {job}` tries "
    "it again."
)
Decision = Again | PauseLane | Resettle | Quarantine


def after_failure(
    error: RetouchdError,
    job: Job,
    policy: RetryPolicy,
    now: float,
    jitter: float,
    *,
    watched: bool = True,
) -> Decision:
    """What follows from ``error``.

    job: as it was claimed, so ``attempts`` counts the failed one; ``crashes`` does not yet count
    this crash. now: seconds since the epoch. jitter: in [0, 1). watched: whether somebody sees to
    it that files which changed settle anew.
    """
    if isinstance(error, PermanentError):
        return Quarantine(error)
    if isinstance(error, FileBusy) and watched:
        return _anew(error, job)
    if isinstance(error, EnvironmentTrouble):
        return PauseLane(error)
    if isinstance(error, HandDied) and job.crashes + 1 >= policy.crashes:
        return Quarantine(poisonous(job, job.crashes + 1, str(error.facts.get("cause", "crash"))))
    # A disk or share that errs is the environment's fault however often it happens.
    if not isinstance(error, (IoTrouble, HandDied)) and job.attempts >= policy.attempts:
        fix = _STEADY.format(job=job.id) if isinstance(error, FileBusy) else error.advice
        return Quarantine(
            GaveUp(path=job.name, attempts=job.attempts, cause=error.message, fix=fix)
        )
    return Again(now + backoff(job.attempts, policy, jitter))


def _anew(error: FileBusy, job: Job) -> Decision:
    # It does not yet count this end; where the files really were others, it began anew.
    times = job.interrupted + 1
    if times < MAX_INTERRUPTED:
        return Resettle()
    return Quarantine(
        GaveUp(path=job.name, attempts=times, cause=error.message, fix=_STEADY.format(job=job.id))
    )


def after_restart(job: Job, blamed: str | None, policy: RetryPolicy) -> Quarantine | None:
    """What follows for a job that was running when the service died.

    blamed: the evidence against it (a fault trace, an out-of-memory kill), None if there is none:
    a power cut or ``kill -9`` is nobody's fault. ``crashes`` and ``interrupted`` already count
    this time.
    """
    if blamed and job.crashes >= policy.crashes:
        return Quarantine(poisonous(job, job.crashes, blamed))
    if job.interrupted >= MAX_INTERRUPTED:
        # Only of this end it is known that it was the service's; files may have changed before.
        cause = f"the service ended meanwhile ({blamed or 'nothing tells why'})."
        fix = _CALM.format(job=job.id)
        return Quarantine(GaveUp(path=job.name, attempts=job.interrupted, cause=cause, fix=fix))
    return None


def backoff(attempts: int, policy: RetryPolicy, jitter: float) -> float:
    """Seconds to wait: doubled each time, capped, with half of it random."""
    longest: float = min(policy.longest, policy.first * 2 ** min(attempts - 1, 30))
    return longest * (0.5 + jitter / 2)


def poisonous(job: Job, times: int, cause: str) -> Poisonous:
    """The error for a job that keeps killing the process that works on it."""
    return Poisonous(path=job.name, times=times, cause=cause, job=job.id)
