"""Claims jobs, has them done, publishes and files: the crash order of docs/design.md, in code.

Every step is committed before the next begins, and every step can be repeated. So whoever dies
where, the next start goes on from the last commit.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from retouchd.attempt import Attempt
from retouchd.clock import Clock
from retouchd.config import RetryPolicy
from retouchd.errors import (
    EnvironmentTrouble,
    FileBusy,
    HandDied,
    LedgerUnusable,
    PermanentError,
    RetouchdError,
    Unexpected,
    WrongState,
)
from retouchd.filing import Filing
from retouchd.job import Job, Place, State
from retouchd.lanes import Lanes, LaneState
from retouchd.ledger import Ledger
from retouchd.recording import quarantine
from retouchd.retry import Again, PauseLane, Quarantine, Resettle, after_failure

Say = Callable[..., None]
Step = Callable[[Job, LaneState], None]
Forget = Callable[[str, list[str]], None]


@dataclass
class _InFlight:
    jobs: dict[int, Future[None]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def numbers(self) -> list[int]:
        with self.lock:
            return list(self.jobs)


class Pipeline:
    """At most ``capacity`` jobs at once, each in a thread that mostly waits.

    say: logs. forget: tells the intake that files must settle anew. wake: called when a job ends.
    """

    def __init__(
        self,
        ledger: Ledger,
        lanes: Lanes,
        attempt: Attempt,
        filing: Filing,
        policy: RetryPolicy,
        clock: Clock,
        capacity: int,
        say: Say,
        forget: Forget,
        wake: Callable[[], None],
    ) -> None:
        self._ledger, self._lanes = ledger, lanes
        self._attempt, self._filing = attempt, filing
        self._policy, self._clock = policy, clock
        self._capacity, self._say, self._forget, self._wake = capacity, say, forget, wake
        self._threads = ThreadPoolExecutor(capacity, "job")
        self._flight = _InFlight()
        self._stopping = False

    @property
    def busy(self) -> int:
        """Jobs under way."""
        return len(self._flight.numbers())

    def start_due(self) -> int:
        """Start as many jobs as there is room for; returns how many."""
        started = 0
        while not self._stopping and self.busy < self._capacity and self._start_one():
            started += 1
        return started

    def has_work(self) -> bool:
        """Whether anything is under way or could be started now."""
        return self.busy > 0 or self._next() is not None

    def _start_one(self) -> bool:
        found = self._next()
        if found is None:
            return False
        job, step = found
        if step != self._work:
            return self._launch(job, step)
        claimed = self._claim(job)
        return claimed is None or self._launch(claimed, step)

    def _next(self) -> tuple[Job, Step] | None:
        """The next job and what to do with it: old business before new."""
        open_lanes = [lane.name for lane in self._lanes if lane.ready and not lane.pause]
        working = self._lanes.working(self._clock.local())
        busy, now, longest = self._flight.numbers(), self._clock.now(), self._policy.longest
        if job := self._ledger.interrupted(open_lanes, busy, now, longest):
            return job, self._recover
        if job := self._ledger.to_file(open_lanes, busy, now, longest):
            return job, self._file
        if job := self._ledger.due(working, busy, now, longest):
            return job, self._work
        return None

    def _claim(self, job: Job) -> Job | None:
        """Commit the attempt before anything of the file is touched."""
        lane = self._lanes.get(job.lane)
        try:
            self._ledger.change(
                job.id,
                State.RUNNING,
                now=self._clock.now(),
                attempts=job.attempts + 1,
                next_attempt_at=None,
                output=None,
                output_sha256=None,
                error=None,
                remedy=None,
                model=lane.config.model if lane else None,
                settings=lane.config.work() if lane else {},
            )
        except WrongState:
            return None  # A person cancelled it in this very moment.
        return self._ledger.job(job.id)

    def _launch(self, job: Job, step: Step) -> bool:
        lane = self._lanes.get(job.lane)
        if lane is None:
            return False
        with self._flight.lock:
            self._flight.jobs[job.id] = self._threads.submit(self._guard, step, job, lane)
        return True

    def _guard(self, step: Step, job: Job, lane: LaneState) -> None:
        try:
            self._settle_failure(step, job, lane)
        except (sqlite3.Error, LedgerUnusable) as error:
            # The job stays as committed; it is found as interrupted once the ledger works again.
            self._say("ledger trouble", level="error", job=job.id, cause=str(error))
        finally:
            with self._flight.lock:
                self._flight.jobs.pop(job.id, None)
            self._wake()

    def _settle_failure(
        self, step: Step, job: Job, lane: LaneState
    ) -> None:
        try:
            step(job, lane)
        except RetouchdError as error:
            self._failed(job, lane, error)
        except sqlite3.Error:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            self._failed(job, lane, Unexpected(cause=cause))

    def _work(self, job: Job, lane: LaneState) -> None:
        self._say_state(job, State.RUNNING, attempt=job.attempts)
        if job.error_file:
            self._filing.remove_text(job, lane)
        published = self._attempt.run(job, lane)
        self._published(published, lane)

    def _recover(self, job: Job, lane: LaneState) -> None:
        """Go on with a job that nobody works on, from what was committed."""
        published = self._attempt.resume(job, lane)
        if published is None:
            self._ledger.change(
                job.id,
                State.READY,
                now=self._clock.now(),
                why="the service had stopped",
                output=None,
                output_sha256=None,
                next_attempt_at=None,
            )
            self._say_state(job, State.READY, why="the service had stopped")
        else:
            self._published(published, lane)

    def _published(self, job: Job, lane: LaneState) -> None:
        self._say_state(job, State.PUBLISHED, output=job.output, **_milliseconds(job))
        self._file(job, lane)

    def _file(self, job: Job, lane: LaneState) -> None:
        state = self._filing.file(job, lane)
        facts = {"why": job.error} if state is State.QUARANTINED else {}
        self._say_state(job, state, **facts)

    def _failed(self, job: Job, lane: LaneState, error: RetouchdError) -> None:
        """Apply what ``retry`` decides about a failed step."""
        now = self._clock.now()
        current = self._ledger.job(job.id)
        if self._stopping and isinstance(error, HandDied):
            return  # Our own doing; the ledger knows where to go on.
        if current is None or current.state is not State.RUNNING:
            self._filing_failed(job, lane, error, now)
            return
        if current.output_sha256 and not isinstance(error, (FileBusy, PermanentError)):
            # The rename may have happened although nobody heard of it: look before working again.
            self._later(current, lane, error, now)
            return
        decision = after_failure(error, current, self._policy, now, random.random())
        if isinstance(error, HandDied):
            self._ledger.note(job.id, now=now, crashes=current.crashes + 1)
        match decision:
            case Quarantine(reason):
                quarantine(self._ledger, job.id, reason, now)
                self._say_state(job, State.QUARANTINED, level="warning", why=reason.message)
            case PauseLane(reason):
                self._pause(current, lane, reason, now)
                self._back(job, State.READY, now, attempts=max(0, current.attempts - 1))
            case Resettle() if all(drop.place is Place.INBOX for drop in current.drops):
                self._back(job, State.WAITING, now, attempts=max(0, current.attempts - 1))
                self._forget(job.lane, [drop.path for drop in job.drops])
            case Resettle():
                # In quarantine nobody watches: look again after a while.
                self._ledger.unsettle(job.id)
                self._back(
                    job, State.FAILED, now, error, next_attempt_at=now + self._policy.first
                )
            case Again(at):
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
        facts = {"why": why, "level": "warning"} if why else {}
        self._say_state(job, state, **facts)

    def _filing_failed(
        self, job: Job, lane: LaneState, error: RetouchdError, now: float
    ) -> None:
        """The output is out; only the originals still have to be moved."""
        if isinstance(error, PermanentError):
            self._filing.leave(job)
        self._later(job, lane, error, now)

    def _later(self, job: Job, lane: LaneState, error: RetouchdError, now: float) -> None:
        """The state stays; the same step is tried again."""
        if isinstance(error, EnvironmentTrouble):
            self._pause(job, lane, error, now)
            return
        self._ledger.note(job.id, now=now, next_attempt_at=now + self._policy.first)
        self._say(
            "will go on", level="warning", job=job.id, lane=job.lane, why=error.message
        )

    def _pause(
        self, job: Job, lane: LaneState, error: EnvironmentTrouble, now: float
    ) -> None:
        if lane.pause_for(error, now, needed=int(error.facts.get("needed", 0))):
            self._say("lane paused", level="warning", lane=lane.name, reason=error.message)

    def _say_state(self, job: Job, state: State, level: str = "info", **facts: object) -> None:
        self._say(state.value, level=level, job=job.id, lane=job.lane, file=job.name, **facts)

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping = True

    def close(self) -> None:
        """Wait for the threads; call it after the hands were closed."""
        self._stopping = True
        self._threads.shutdown(wait=True, cancel_futures=True)


def _milliseconds(job: Job) -> dict[str, float]:
    return {f"{stage}_ms": took for stage, took in job.timings.items()}
