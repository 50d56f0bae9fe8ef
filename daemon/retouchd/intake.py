"""One lane's eyes: scans its inbox, waits until files are still, and tells the ledger.

The scanner is the truth. Events only wake it, and a scan compares the whole inbox with the whole
ledger, so that a lost event, a restart or a crash between two steps costs nothing but time.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retouchd.call import Call
from retouchd.clock import Clock
from retouchd.config import Scan
from retouchd.errors import EnvironmentTrouble, IoTrouble, TransientError
from retouchd.grounds import Grounds
from retouchd.hands import Hands
from retouchd.inbox import OPEN, UNDER_WAY, Inbox, opened_since, owners
from retouchd.job import Job
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, lock_of
from retouchd.listing import Found
from retouchd.pairing import Candidate, WaitingMask, decide
from retouchd.reconcile import reconcile
from retouchd.recording import record
from retouchd.redoing import meant_by
from retouchd.tenancy import here

_AGAIN = 5.0
_SOON = 1.0
REDO_AFTER = 15.0


@dataclass
class _Wakes:
    """What events said since the last scan."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    touched: set[str] = field(default_factory=set)
    dirty: bool = False
    anew: bool = True
    stopping: bool = False


Say = Callable[..., None]
"""Called with an event's name and facts; the shell logs them."""


class Intake(threading.Thread):
    """The thread of one lane.

    patience: seconds after which an incomplete file is given up. excluded: folders below the
    inbox that belong to other lanes. redo_after: seconds that a mask waits for a new photo before
    it is taken for one for a photo that was finished earlier.
    """

    def __init__(
        self,
        lane: LaneState,
        ledger: Ledger,
        hands: Hands,
        scan: Scan,
        *,
        clock: Clock,
        say: Say,
        patience: float,
        excluded: tuple[str, ...] = (),
        redo_after: float = REDO_AFTER,
        wake_pipeline: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name=f"intake-{lane.name}", daemon=True)
        self._lane, self._ledger, self._hands = lane, ledger, hands
        self._scan, self._clock, self._say = scan, clock, say
        self._wakes = _Wakes()
        tenant = here(ledger.id, lock_of(ledger.path))
        self._grounds = Grounds(lane, ledger, self._call, tenant, clock)
        self._inbox = Inbox(
            lane,
            self._call,
            scan,
            clock,
            say,
            patience=patience,
            excluded=excluded,
            tenant=tenant,
        )
        self._presence = self._inbox.presence
        self._redo_after, self._redo_due = redo_after, False
        self._next_scan = 0.0
        self.on_ready: Callable[[LaneState], None] = lambda lane: None
        self._wake_pipeline = wake_pipeline
        self.failures = 0
        self.ledger_trouble: sqlite3.Error | None = None
        self.idle = False
        self.beat = clock.monotonic()

    # What other threads may call.

    def wake(self, path: str | None = None) -> None:
        """Something happened, maybe to ``path``: scan soon."""
        with self._wakes.condition:
            if path:
                self._wakes.touched.add(path)
            self._wakes.dirty = True
            self.idle = False
            self._wakes.condition.notify()

    def look_anew(self) -> None:
        """Mounts have changed: another folder may be in the inbox's place."""
        with self._wakes.condition:
            self._wakes.anew = True
        self.wake()

    def stop(self) -> None:
        """End the thread after the current step."""
        with self._wakes.condition:
            self._wakes.stopping = True
            self._wakes.condition.notify()

    # The thread.

    def run(self) -> None:
        """Visit the inbox until stopped."""
        while not self._wakes.stopping:
            self._inbox.took = 0.0
            try:
                wait, at_least = self._visit()
            except Exception as error:
                # Nothing may end this thread: a lane that nobody watches looks like a quiet one.
                self._trouble("error", f"{type(error).__name__}: {error}")
                self.failures += 1
                wait = at_least = _AGAIN
            self._sleep(wait, at_least)

    def _sleep(self, wait: float, at_least: float) -> None:
        condition = self._wakes.condition
        with condition:
            condition.wait_for(lambda: self._wakes.stopping, at_least)
            condition.wait_for(
                lambda: self._wakes.stopping or self._wakes.dirty, max(0.0, wait - at_least)
            )

    def _visit(self) -> tuple[float, float]:
        """One round; returns the seconds until the next is due, and the least to wait."""
        self.beat, began = self._clock.monotonic(), time.thread_time()
        pause = self._lane.pause
        if pause and (left := pause.left(self._clock.now())):
            return left, left
        try:
            self._make_ready()
            if self._wakes.dirty or self._clock.monotonic() >= self._next_scan:
                self._next_scan = self._round() + self._clock.monotonic()
            else:
                self._grounds.glance()
            self.failures, self.ledger_trouble = 0, None
        except EnvironmentTrouble as error:
            self._pause(error)
        except sqlite3.Error as error:
            # It holds up every lane: the service says so, once.
            self._presence.forget_moving()
            self.ledger_trouble = error
        except TransientError as error:
            if isinstance(error, IoTrouble) and self.failures:
                # Not a blink: as long as nobody can look, no job shall try.
                self._pause(error)
            else:
                self._trouble("warning", str(error))
        else:
            wait = max(0.0, self._next_scan - self._clock.monotonic())
            # A huge inbox is not listed and compared again before five times the time that it took.
            took = self._inbox.took + time.thread_time() - began
            return min(wait, self._scan.remote), max(0.1, 5 * took)
        self.failures += 1
        self._next_scan = 0.0
        return _AGAIN, _AGAIN

    def _trouble(self, level: str, cause: str) -> None:
        self._presence.forget_moving()
        self._say("intake trouble", level=level, lane=self._lane.name, cause=cause)

    def _pause(self, error: TransientError) -> None:
        self.idle, self.ledger_trouble = False, None
        self._presence.forget_moving()
        if self._lane.pause_for(error, self._clock.now(), seen=True):
            facts = {"reason": error.message, "remedy": error.advice}
            self._say("lane paused", level="warning", lane=self._lane.name, **facts)

    def _call(self, task: str, subject: str, **arguments: Any) -> dict[str, Any]:
        self.beat = self._clock.monotonic()
        within = self._scan.answer_within
        call = Call(task, self._lane.name, subject, within, arguments, looks=True)
        result, _ = self._hands.call(call)
        return result

    def _make_ready(self) -> None:
        """See that the folders are the lane's own and that trouble has passed.

        Raises EnvironmentTrouble where it has not.
        """
        pause = self._lane.pause
        fresh = not self._lane.ready or self._grounds.disowned()
        if fresh:
            self._lane.set_roots({})
            self._grounds.set_up()
        elif pause:
            self._grounds.probe()
        if self._lane.resume():
            self._say("lane resumed", lane=self._lane.name)
        with self._wakes.condition:
            anew, self._wakes.anew = self._wakes.anew, False
        # A watch sees nothing of what was mounted after it had been set.
        if fresh or anew or (pause and pause.seen):
            self.on_ready(self._lane)

    def _round(self) -> float:
        with self._wakes.condition:
            touched = frozenset(self._wakes.touched)
            self._wakes.touched.clear()
            self._wakes.dirty = False
        # Before the listing: what is filed away meanwhile must not look like a new file.
        jobs = self._ledger.live(self._lane.name)
        names = self._inbox.names()
        self._inbox.recall(jobs)
        for path in touched:
            self._presence.forget(path)
        self._presence.keep_only(names)
        found = self._inbox.without_taken(names, jobs)
        due = self._inbox.settle(found, touched)
        self._tell(found, jobs)
        with self._wakes.condition:
            self.idle = due is None and not self._wakes.dirty
        if due is None:
            soon = max(_SOON, self._redo_after)
            return min(self._interval, soon) if self._redo_due else self._interval
        return max(0.0, due - self._clock.monotonic())

    @property
    def _interval(self) -> float:
        return self._scan.local if self._lane.watching == "events" else self._scan.remote

    def _tell(self, found: list[Found], before: list[Job]) -> None:
        """Bring the ledger into agreement with the inbox.

        before: the jobs as they were when the inbox was listed.
        """
        whole = self._presence.whole
        config = self._lane.config
        verdicts = decide(
            (Candidate(f.path, f.path in whole) for f in found),
            config.pairing,
            alone=config.task == "matte",
        )
        now = self._clock.now()
        with self._ledger.transaction():
            if self._wakes.stopping:
                return  # Another intake may have taken over, with newer eyes.
            # Read again inside: the pipeline may have started a job meanwhile, or ended it.
            jobs = self._ledger.live(self._lane.name)
            fresh = opened_since(before, jobs)
            mine = set(owners(jobs, OPEN).items())
            busy = {
                *owners(jobs, UNDER_WAY),
                *owners(fresh, OPEN),
                *dict(set(owners(before, OPEN).items()) - mine),
            }
            free = [v for v in verdicts if not busy.intersection(v.members)]
            seen = [job for job in jobs if job not in fresh]
            earlier = {
                verdict.mask: job
                for verdict in free
                if config.task == "matte" and isinstance(verdict, WaitingMask)
                if (job := meant_by(verdict.mask, config.name, self._ledger)) is not None
            }
            actions = reconcile(
                free,
                seen,
                self._presence.bad,
                now,
                config.pairing.orphan_after,
                earlier=earlier,
                redo_after=self._redo_after,
                settled={f.path: f.path in whole for f in found},
            )
            # A photo may be done at any moment, and no event of the inbox says so.
            self._redo_due = config.task == "matte" and any(
                isinstance(verdict, WaitingMask) for verdict in free
            )
            changes = record(self._ledger, self._lane, actions, self._presence, now)
        for change in changes:
            self._say(**change)
        if changes:
            self._wake_pipeline()
