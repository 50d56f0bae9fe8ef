"""Claims jobs, has them done, publishes and files: the crash order of docs/design.md, in code.

Every step is committed before the next begins, and every step can be repeated. So whoever dies
where, the next start goes on from the last commit.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto

from retouchd.attempt import Attempt
from retouchd.clock import Clock
from retouchd.errors import LedgerUnusable, RetouchdError, Unexpected, WrongState
from retouchd.failing import Circumstances, Failing
from retouchd.filing import Filing
from retouchd.job import Job, State
from retouchd.lanes import Lanes, LaneState
from retouchd.ledger import Ledger, Trouble
from retouchd.recording import STOPPED, begin_again, claim

LEDGER_PAUSE = 5.0
"""Seconds without new work after the ledger could not be written."""
Say = Callable[..., None]


class Step(Enum):
    """What is to be done with a job."""

    RECOVER = auto()  # nobody works on it although it is running: go on from the last commit
    FILE = auto()  # move its originals
    WORK = auto()  # a new attempt


@dataclass
class _InFlight:
    jobs: dict[int, tuple[str, Future[None]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def numbers(self) -> list[int]:
        with self.lock:
            return list(self.jobs)

    def lanes(self) -> Counter[str]:
        with self.lock:
            return Counter(lane for lane, _ in self.jobs.values())


class Pipeline:
    """At most ``capacity`` jobs at once, each in a thread that mostly waits.

    wake: called when a job ends. ledger_trouble: what it said when it could not be written, None
    while it can.
    """

    def __init__(
        self,
        ledger: Ledger,
        lanes: Lanes,
        attempt: Attempt,
        filing: Filing,
        failing: Failing,
        *,
        clock: Clock,
        capacity: int,
        say: Say,
        wake: Callable[[], None],
    ) -> None:
        self._ledger, self._lanes = ledger, lanes
        self._attempt, self._filing, self._failing = attempt, filing, failing
        self._clock, self._capacity, self._say, self._wake = clock, capacity, say, wake
        self._threads = ThreadPoolExecutor(capacity, "job")
        self._flight = _InFlight()
        self._stopping = False
        self._held_until = 0.0
        self.ledger_trouble: Trouble | None = None

    @property
    def busy(self) -> int:
        """Jobs under way."""
        return len(self._flight.numbers())

    @property
    def busy_lanes(self) -> set[str]:
        """Lanes of the jobs under way."""
        return set(self._flight.lanes())

    def start_due(self) -> int:
        """Start as many jobs as there is room for; returns how many. Raises sqlite3.Error."""
        started = 0
        if self._clock.monotonic() < self._held_until:
            return started
        try:
            while not self._stopping and self.busy < self._capacity and self._start_one():
                started += 1
        except sqlite3.Error as error:
            self._hold(error)
            raise
        if not started and not self.busy:
            self.ledger_trouble = None  # Nothing is left that it could hold up.
        return started

    def has_work(self) -> bool:
        """Whether anything is under way or could be started now."""
        return self.busy > 0 or self._next() is not None

    def due_in(self) -> float | None:
        """Seconds until something that waits for its next try may be started; None if nothing is
        or its lane does not work."""
        working, open_lanes = self._workable()
        now = self._clock.now()
        at = self._ledger.next_due_at(working, open_lanes, now)
        waits = [*self._resting(open_lanes).values(), *([at - now] if at is not None else [])]
        return min(waits, default=None)

    def _start_one(self) -> bool:
        found = self._next()
        if found is None:
            return False
        job, step = found
        if step is not Step.WORK:
            return self._launch(job, step)
        claimed = self._claim(job)
        return claimed is None or self._launch(claimed, step)

    def _next(self) -> tuple[Job, Step] | None:
        """The next job and what to do with it: old business before new."""
        working, open_lanes = map(self._with_room, self._workable())
        busy = [*self._flight.numbers(), *self._resting(open_lanes)]
        now, longest = self._clock.now(), self._failing.policy.longest
        if job := self._ledger.interrupted(open_lanes, busy, now, longest):
            return job, Step.RECOVER
        if job := self._ledger.to_file(open_lanes, busy, now, longest):
            return job, Step.FILE
        if job := self._ledger.due(working, busy, now, longest):
            return job, Step.WORK
        return None

    def _workable(self) -> tuple[list[str], list[str]]:
        """Lanes that may start new work, and lanes that may go on with old."""
        open_lanes = [lane.name for lane in self._lanes if lane.ready and not lane.pause]
        return self._lanes.working(self._clock.local()), open_lanes

    def _with_room(self, lanes: Sequence[str]) -> list[str]:
        """Without lanes that would take the last room from one which has no job under way: theirs
        may all wait for a share that hangs."""
        count = self._flight.lanes()
        free = self._capacity - count.total()
        idle = sum(not count[lane.name] for lane in self._lanes)
        return [name for name in lanes if not count[name] or free > idle]

    def _resting(self, lanes: Sequence[str]) -> dict[int, float]:
        recoveries = {lane.name: lane.recoveries for lane in self._lanes if lane.name in lanes}
        return self._failing.resting.resting(self._clock.monotonic(), recoveries)

    def _claim(self, job: Job) -> Job | None:
        """Commit the attempt before anything of the file is touched."""
        lane = self._lanes.get(job.lane)
        try:
            claim(
                self._ledger,
                job,
                self._clock.now(),
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
            future = self._threads.submit(self._guard, step, job, lane)
            self._flight.jobs[job.id] = lane.name, future
        return True

    def _guard(self, step: Step, job: Job, lane: LaneState) -> None:
        try:
            self._perform(step, job, lane)
            self.ledger_trouble = None
        except (sqlite3.Error, LedgerUnusable) as error:
            # The job stays as committed; it is found as interrupted once the ledger works again.
            self._hold(error)
        except Exception as error:
            self._say(
                "pipeline trouble",
                level="error",
                job=job.id,
                lane=job.lane,
                cause=f"{type(error).__name__}: {error}",
            )
            self._held_until = self._clock.monotonic() + LEDGER_PAUSE
        finally:
            with self._flight.lock:
                self._flight.jobs.pop(job.id, None)
            self._wake()

    def _hold(self, error: Trouble) -> None:
        """Nothing can be promised until the ledger takes commits again; trying burns the CPU."""
        self.ledger_trouble = error
        self._held_until = self._clock.monotonic() + LEDGER_PAUSE

    def _perform(self, step: Step, job: Job, lane: LaneState) -> None:
        steps = {Step.RECOVER: self._recover, Step.FILE: self._file, Step.WORK: self._work}
        try:
            steps[step](job, lane)
        except sqlite3.Error:
            raise
        except Exception as error:
            if not isinstance(error, RetouchdError):
                error = Unexpected(cause=f"{type(error).__name__}: {error}")
            seen = Circumstances(recovering=step is Step.RECOVER, stopping=self._stopping)
            self._failing.failed(job, lane, error, seen)
        else:
            if step is not Step.RECOVER:
                self._failing.resting.forget(job.id)
                lane.worked()

    def _work(self, job: Job, lane: LaneState) -> None:
        self._failing.say_state(job, State.RUNNING, attempt=job.attempts)
        if job.error_file:
            self._filing.remove_text(job, lane)
        self._published(self._attempt.run(job, lane), lane)

    def _recover(self, job: Job, lane: LaneState) -> None:
        """Go on with a job that nobody works on, from what was committed."""
        published = self._attempt.resume(job, lane)
        if published is not None:
            self._published(published, lane)
            return
        begin_again(self._ledger, job, self._clock.now())
        self._failing.say_state(job, State.READY, why=STOPPED)

    def _published(self, job: Job, lane: LaneState) -> None:
        facts: dict[str, object] = {**_milliseconds(job)}
        if job.remarks:
            facts["notes"] = "; ".join(job.remarks)
        self._failing.say_state(job, State.PUBLISHED, "info", output=job.output, **facts)
        self._file(job, lane)

    def _file(self, job: Job, lane: LaneState) -> None:
        state = self._filing.file(job, lane)
        if state is State.QUARANTINED:
            # That it is quarantined was said when that was decided.
            self._say("set aside", job=job.id, lane=job.lane, file=job.name)
        else:
            self._failing.say_state(job, state)

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping = True

    def close(self, timeout: float) -> bool:
        """Wait for the threads; call it after the hands were closed.

        timeout: seconds. Returns whether they ended: one that waits for a device may never do.
        """
        self._stopping = True
        deadline = self._clock.monotonic() + timeout
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self.busy and self._clock.monotonic() < deadline:
            time.sleep(0.02)
        return not self.busy


def _milliseconds(job: Job) -> dict[str, float]:
    return {f"{stage}_ms": took for stage, took in job.timings.items()}
