"""What follows when a step of a job fails: applies what ``retry`` decides."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from retouchd.clock import Clock
from retouchd.config import RetryPolicy
from retouchd.errors import (
    EnvironmentTrouble,
    FileBusy,
    FolderLocked,
    HandDied,
    InTheWay,
    PermanentError,
    RetouchdError,
    TransientError,
)
from retouchd.filing import Filing
from retouchd.job import Job, Place, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.recording import quarantine
from retouchd.resting import Resting
from retouchd.retry import Again, PauseLane, Quarantine, Resettle, after_failure
from retouchd.ways import blocks_all

Say = Callable[..., None]
Forget = Callable[[str, list[str]], None]


@dataclass(frozen=True)
class Circumstances:
    """recovering: the failed step was to go on after a crash, not the work. stopping: the service
    ends, and may be the cause itself."""

    recovering: bool = False
    stopping: bool = False


class Failing:
    """Applies failures to the ledger and the lanes.

    say: logs. forget: tells a lane's intake to look now, and which files must settle anew.
    """

    def __init__(
        self,
        ledger: Ledger,
        filing: Filing,
        clock: Clock,
        policy: RetryPolicy,
        *,
        say: Say,
        forget: Forget,
    ) -> None:
        self._ledger, self._filing, self._clock = ledger, filing, clock
        self.policy = policy
        self._say, self._forget = say, forget
        self.resting = Resting()

    def failed(self, job: Job, lane: LaneState, error: RetouchdError, seen: Circumstances) -> None:
        """A step of ``job`` failed; raises sqlite3.Error where that can't be recorded."""
        now = self._clock.now()
        current = self._ledger.job(job.id)
        if current is None:
            return
        if seen.stopping and isinstance(error, TransientError):
            self._hand_back(current, now)
        elif current.state is not State.RUNNING:
            # The output is out; only the originals still have to be moved.
            if isinstance(error, PermanentError):
                self._filing.leave(current)
            self._later(current, lane, error, now)
        elif _must_look_first(current, error, seen):
            self._later(current, lane, error, now)
        else:
            self._apply(current, lane, error, now)

    def _hand_back(self, job: Job, now: float) -> None:
        """Our own doing: whatever is not about to appear starts anew another time."""
        if job.state is State.RUNNING and job.output_sha256 is None:
            self._back(job, State.READY, now, attempts=max(0, job.attempts - 1))

    def _apply(self, job: Job, lane: LaneState, error: RetouchdError, now: float) -> None:
        watched = _watched(job)
        decision = after_failure(
            error, job, self.policy, now, random.random(), watched=bool(watched)
        )
        if isinstance(error, HandDied):
            self._ledger.note(job.id, now=now, crashes=job.crashes + 1)
        given_back = max(0, job.attempts - 1)
        match decision:
            case Quarantine(reason):
                quarantine(self._ledger, job.id, reason, now)
                self.say_state(job, State.QUARANTINED, level="warning", why=reason.message)
            case PauseLane(reason):
                self._rest(job, lane)
                self._back(job, State.READY, now, attempts=given_back)
                self._pause(lane, reason, now)
            case Resettle():
                # If it is another file by then, everything is counted from the beginning.
                again = {"attempts": given_back, "interrupted": job.interrupted + 1}
                self._back(job, State.WAITING, now, None, **again)
                self._forget(job.lane, watched)
            case Again(at):
                if isinstance(error, FileBusy):
                    # In other folders nobody watches: the next attempt looks again.
                    self._ledger.unsettle(job.id)
                self._back(job, State.FAILED, now, error, next_attempt_at=at)

    def _back(
        self,
        job: Job,
        state: State,
        now: float,
        error: RetouchdError | None = None,
        **columns: float,
    ) -> None:
        """Give up this attempt; nothing of it was visible."""
        why = error.message if error else None
        with self._ledger.transaction():
            if state is State.WAITING:
                self._ledger.unsettle(job.id)
            self._ledger.change(
                job.id,
                state,
                now=now,
                why=why,
                output=None,
                output_sha256=None,
                error=why,
                remedy=error.advice if error else None,
                **columns,
            )
        if why:
            self.say_state(job, state, level="warning", why=why)
        else:
            self.say_state(job, state)

    def _later(self, job: Job, lane: LaneState, error: RetouchdError, now: float) -> None:
        """The state stays; the same step is tried again."""
        wait = self._rest(job, lane)
        if isinstance(error, EnvironmentTrouble) and not _in_one_corner(error, lane, now):
            self._pause(lane, error, now)
            return
        reason = {"error": error.message, "remedy": error.advice}
        # Why it was set aside is what a person has to know of that one.
        told = {} if job.state is State.QUARANTINED else reason
        self._ledger.note(job.id, now=now, next_attempt_at=now + wait, **told)
        facts = {"why": error.message, "remedy": error.advice}
        self._say("will go on", level="warning", job=job.id, lane=job.lane, **facts)

    def _rest(self, job: Job, lane: LaneState) -> float:
        return self.resting.rest(
            job.id,
            lane.name,
            self._clock.monotonic(),
            recoveries=lane.recoveries,
            policy=self.policy,
            jitter=random.random(),
        )

    def _pause(self, lane: LaneState, error: EnvironmentTrouble, now: float) -> None:
        if lane.pause_for(error, now):
            facts = {"reason": error.message, "remedy": error.advice}
            self._say("lane paused", level="warning", lane=lane.name, **facts)
            # The intake sees when the trouble has passed, and its next look may be far.
            self._forget(lane.name, [])

    def say_state(self, job: Job, state: State, level: str = "info", **facts: object) -> None:
        """Log that a job is in a state now."""
        self._say(state.value, level=level, job=job.id, lane=job.lane, file=job.name, **facts)


def _watched(job: Job) -> list[str]:
    """Its files in the inbox, where the intake sees to them."""
    return [drop.path for drop in job.drops if drop.place is Place.INBOX]


def _in_one_corner(error: EnvironmentTrouble, lane: LaneState, now: float) -> bool:
    """Whether other jobs of the lane come from or go elsewhere, where the trouble is not."""
    if isinstance(error, FolderLocked):
        return bool(error.facts.get("folder"))
    return isinstance(error, InTheWay) and not blocks_all(error, lane.config, now)


def _must_look_first(job: Job, error: RetouchdError, seen: Circumstances) -> bool:
    """Whether the output may have appeared although nobody heard of it."""
    if isinstance(error, (FileBusy, PermanentError)):
        return False
    return seen.recovering or job.output_sha256 is not None
