"""One lane's eyes: scans its inbox, waits until files are still, and tells the ledger.

The scanner is the truth. Events only wake it, and a scan compares the whole inbox with the whole
ledger, so that a lost event, a restart or a crash between two steps costs nothing but time.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retouchd.clock import Clock
from retouchd.config import Scan
from retouchd.errors import (
    EnvironmentTrouble,
    FileBusy,
    PermanentError,
    RetouchdError,
    ShareHung,
    TransientError,
    Truncated,
)
from retouchd.hands import Call, Hands
from retouchd.job import FileStat, Job, Place, State
from retouchd.lanes import ROLES, LaneState
from retouchd.ledger import Ledger, RootRow
from retouchd.listing import Found
from retouchd.mounts import mount_of, read_mounts
from retouchd.pairing import Candidate, decide
from retouchd.presence import Presence
from retouchd.reconcile import reconcile
from retouchd.recording import record
from retouchd.roots import RootRef
from retouchd.tasks.values import stat_of

_AGAIN = 5.0
_BATCH = 2000


@dataclass
class _Wakes:
    """What events said since the last scan."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    touched: set[str] = field(default_factory=set)
    dirty: bool = False
    stopping: bool = False


Say = Callable[..., None]
"""Called with an event's name and facts; the shell logs them."""


class Intake(threading.Thread):
    """The thread of one lane.

    patience: seconds after which an incomplete file is given up. excluded: folders below the
    inbox that belong to other lanes.
    """

    def __init__(
        self,
        lane: LaneState,
        ledger: Ledger,
        hands: Hands,
        scan: Scan,
        clock: Clock,
        say: Say,
        *,
        patience: float,
        excluded: tuple[str, ...] = (),
        wake_pipeline: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name=f"intake-{lane.name}", daemon=True)
        self._lane, self._ledger, self._hands = lane, ledger, hands
        self._scan, self._clock, self._say = scan, clock, say
        self._patience, self._excluded = patience, list(excluded)
        self._presence = Presence()
        self._wakes = _Wakes()
        self._seeded = False
        self.on_ready: Callable[[LaneState], None] = lambda lane: None
        self._wake_pipeline = wake_pipeline
        self.failures = 0
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

    def stop(self) -> None:
        """End the thread after the current step."""
        with self._wakes.condition:
            self._wakes.stopping = True
            self._wakes.condition.notify()

    # The thread.

    def run(self) -> None:
        """Visit the inbox until stopped."""
        while not self._wakes.stopping:
            began = self._clock.monotonic()
            self.beat = began
            wait = self._visit()
            took = self._clock.monotonic() - began
            # A huge inbox is not listed again before five times the time that it took.
            self._sleep(wait, at_least=max(0.1, 5 * took))

    def _sleep(self, wait: float, at_least: float) -> None:
        condition = self._wakes.condition
        with condition:
            condition.wait_for(lambda: self._wakes.stopping, at_least)
            condition.wait_for(
                lambda: self._wakes.stopping or self._wakes.dirty, max(0.0, wait - at_least)
            )

    def _visit(self) -> float:
        """One round; returns the seconds until the next is due."""
        try:
            if not self._lane.ready:
                self._set_up()
            elif self._lane.pause:
                self._probe()
            wait = self._round()
            self.failures = 0
            return wait
        except EnvironmentTrouble as error:
            self._pause(error)
        except (TransientError, sqlite3.Error) as error:
            self._say("intake trouble", lane=self._lane.name, cause=str(error), level="warning")
        self.failures += 1
        self._presence.forget_moving()
        return _AGAIN

    def _pause(self, error: EnvironmentTrouble) -> None:
        self.idle = False
        if self._lane.pause_for(error, self._clock.now()):
            self._say(
                "lane paused", lane=self._lane.name, reason=error.message, level="warning"
            )

    def _call(self, task: str, subject: str, **arguments: Any) -> dict[str, Any]:
        call = Call(task, self._lane.name, subject, self._scan.answer_within, arguments)
        result, _ = self._hands.call(call)
        return result

    def _set_up(self) -> None:
        """Make or check the lane's folders."""
        roots = {}
        for role in ROLES:
            path = str(self._lane.config.folders[role])
            row = self._ledger.root(self._lane.name, role)
            known = row if row and row.path == path else None
            found = self._call(
                "set_up",
                path,
                lane=self._lane.name,
                role=role,
                path=path,
                known=known and _wire(known),
            )
            roots[role] = RootRef(**found)
            if known is None:
                self._ledger.set_root(RootRow(self._lane.name, role, path, roots[role].marker))
        self._lane.set_roots(roots)
        self._resumed()
        self.on_ready(self._lane)

    def _probe(self) -> None:
        """See whether the trouble has passed; raises EnvironmentTrouble if not."""
        pause = self._lane.pause
        roots = [_wire(self._lane.root(role)) for role in ROLES if role != "inbox"]
        inbox = self._lane.root("inbox")
        needed = pause.needed if pause else 0
        self._call("scan", inbox.path, root=_wire(inbox), ignore=["*"], excluded=[])
        self._call("probe", roots[0]["path"], roots=roots, needed=needed)
        self._resumed()

    def _resumed(self) -> None:
        if self._lane.resume():
            self._say("lane resumed", lane=self._lane.name)

    def _round(self) -> float:
        with self._wakes.condition:
            touched = frozenset(self._wakes.touched)
            self._wakes.touched.clear()
            self._wakes.dirty = False
        self._measure_mount()
        found = self._list()
        jobs = self._ledger.live(self._lane.name)
        self._seed(jobs)
        found = self._without_taken(found, jobs)
        for path in touched:
            self._presence.forget(path)
        self._presence.keep_only(found)
        self._settle(found, touched)
        self._tell(found)
        self._lane.settling = self._presence.moving
        now = self._clock.monotonic()
        due = self._presence.next_look(now, self._scan.settle)
        with self._wakes.condition:
            self.idle = due is None and not self._wakes.dirty
        return self._interval if due is None else max(0.0, due - now)

    @property
    def _interval(self) -> float:
        return self._scan.local if self._lane.watching == "events" else self._scan.remote

    def _measure_mount(self) -> None:
        mount = mount_of(str(self._lane.config.inbox), read_mounts())
        self._lane.file_system = mount.kind if mount else "unknown"

    def _list(self) -> list[Found]:
        inbox = self._lane.root("inbox")
        answer = self._call(
            "scan",
            inbox.path,
            root=_wire(inbox),
            ignore=list(self._lane.config.ignore),
            excluded=self._excluded,
        )
        return [Found(path, inode, plain) for path, inode, plain in answer["names"]]

    def _seed(self, jobs: list[Job]) -> None:
        """After a start, believe what the ledger knows of settled files."""
        if self._seeded:
            return
        self._seeded = True
        for job in jobs:
            for drop in job.drops:
                if drop.stat and drop.place is Place.INBOX:
                    self._presence.trust(drop.path, drop.stat, drop.decoded)

    def _without_taken(self, found: list[Found], jobs: list[Job]) -> list[Found]:
        """Leave out the files of jobs that are under way or over."""
        open_states = (State.WAITING, State.READY, State.FAILED)
        taken: dict[str, FileStat | None] = {
            drop.path: drop.stat
            for job in jobs
            if job.state not in open_states
            for drop in job.drops
            if drop.place is Place.INBOX and drop.role != "shared_mask"
        }
        return [f for f in found if f.path not in taken or _replaced(f, taken[f.path])]

    def _settle(self, found: list[Found], touched: frozenset[str]) -> None:
        paths = self._presence.unsettled(found)
        special = {f.path for f in found if not f.plain}
        inbox = self._lane.root("inbox")
        for start in range(0, len(paths), _BATCH):
            part = paths[start : start + _BATCH]
            answer = self._call("look", inbox.path, root=_wire(inbox), paths=part)
            stats = {p: stat_of(s) for p, s in zip(part, answer["stats"], strict=True)}
            there = {path: stat for path, stat in stats.items() if stat}
            now = self._clock.monotonic()
            for path in self._presence.seen(there, touched, now, self._scan.settle):
                self._check(path, there[path], special=path in special)

    def _check(self, path: str, stat: FileStat, special: bool) -> None:
        inbox = self._lane.root("inbox")
        try:
            answer = self._call(
                "check",
                path,
                root=_wire(inbox),
                path=path,
                max_bytes=self._lane.config.limits.max_bytes,
            )
        except Truncated as error:
            now = self._clock.monotonic()
            self._presence.checked_incomplete(path, error, now, self._patience)
        except PermanentError as error:
            self._presence.checked_bad(path, error)
        except FileBusy:
            self._presence.forget(path)
        except (EnvironmentTrouble, ShareHung):
            raise
        except RetouchdError as error:
            # It may be the file, it may be the disk: let the work find out and count attempts.
            self._say("check failed", lane=self._lane.name, path=path, cause=error.message)
            self._presence.checked_whole(path, stat, 0)
        else:
            checked = stat_of(answer["stat"])
            if checked:
                self._presence.checked_whole(path, checked, answer["decoded"])

    def _tell(self, found: list[Found]) -> None:
        """Bring the ledger into agreement with the inbox."""
        whole = self._presence.whole
        verdicts = decide(
            (Candidate(f.path, f.path in whole) for f in found), self._lane.config.pairing
        )
        now = self._clock.now()
        with self._ledger.transaction():
            # Read again inside: the pipeline may have started a job meanwhile.
            jobs = self._ledger.live(self._lane.name)
            busy = {
                drop.path
                for job in jobs
                if job.state in (State.RUNNING, State.PUBLISHED)
                for drop in job.drops
                if drop.place is Place.INBOX and drop.role != "shared_mask"
            }
            free = [v for v in verdicts if not busy.intersection(v.members)]
            actions = reconcile(
                free, jobs, self._presence.bad, now, self._lane.config.pairing.orphan_after
            )
            changes = record(self._ledger, self._lane, actions, self._presence, now)
        for change in changes:
            self._say(**change)
        if changes:
            self._wake_pipeline()


def _replaced(found: Found, stat: FileStat | None) -> bool:
    return stat is None or found.inode != stat.inode


def _wire(root: RootRef | RootRow) -> dict[str, str]:
    return {"lane": root.lane, "role": root.role, "path": root.path, "marker": root.marker}
