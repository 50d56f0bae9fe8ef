"""What lies in one lane's inbox, and which of it has settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from retouchd.clock import Clock
from retouchd.config import Scan
from retouchd.errors import (
    EnvironmentTrouble,
    FileBusy,
    LinkedElsewhere,
    PermanentError,
    RetouchdError,
    ShareHung,
    Truncated,
)
from retouchd.grounds import Ask, to_wire
from retouchd.job import FileStat, Job, Place, State
from retouchd.lanes import LaneState
from retouchd.listing import Found
from retouchd.presence import Presence
from retouchd.tasks.values import stat_of
from retouchd.tenancy import Tenant

OPEN = frozenset({State.WAITING, State.READY, State.FAILED})
UNDER_WAY = frozenset({State.RUNNING, State.PUBLISHED})
_BATCH = 2000


class Inbox:
    """Lists the inbox and watches its files settle. Every method may raise TransientError.

    ask: reaches the folder. patience: seconds after which an incomplete file is given up.
    excluded: folders below the inbox that belong to other lanes. tenant: whose inbox it should be.
    """

    def __init__(
        self,
        lane: LaneState,
        ask: Ask,
        scan: Scan,
        clock: Clock,
        say: Callable[..., None],
        *,
        patience: float,
        excluded: Sequence[str],
        tenant: Tenant,
    ) -> None:
        self._lane, self._ask, self._scan, self._clock, self._say = lane, ask, scan, clock, say
        self._patience, self._excluded = patience, list(excluded)
        self._tenant = tenant
        self.presence = Presence()
        self._seeded = False
        self.took = 0.0

    def names(self) -> list[Found]:
        """Every name; ``took`` is how many seconds that took."""
        answer = self._ask_inbox(
            "scan",
            tenant=self._tenant.wire,
            ignore=list(self._lane.config.ignore),
            excluded=self._excluded,
        )
        self.took = answer["seconds"]
        return [Found(path, inode, plain) for path, inode, plain in answer["names"]]

    def recall(self, jobs: Sequence[Job]) -> None:
        """After a start, believe what the ledger knows of settled files."""
        if self._seeded:
            return
        self._seeded = True
        for job in jobs:
            for drop in job.drops:
                if drop.stat and drop.place is Place.INBOX:
                    self.presence.trust(drop.path, drop.stat, drop.decoded)

    def without_taken(self, found: list[Found], jobs: Sequence[Job]) -> list[Found]:
        """Leave out the files of jobs that are under way or over, unless they were replaced."""
        names = {file.path for file in found}
        taken = {
            drop.path: (drop.stat, job.state in UNDER_WAY)
            for job in jobs
            if job.state not in OPEN
            for drop in job.drops
            if drop.place is Place.INBOX and drop.role != "shared_mask" and drop.path in names
        }
        # The work itself sees to files that change under it; nobody else does to the others.
        stats = self._look([path for path, (_, watched) in taken.items() if not watched])
        known = {path: stat for path, (stat, _) in taken.items()}
        return [
            file
            for file in found
            if file.path not in known or _replaced(file, known[file.path], stats.get(file.path))
        ]

    def settle(self, found: list[Found], touched: frozenset[str]) -> float | None:
        """Look at what has not settled yet; returns when to look again (monotonic seconds).

        touched: what a writer's event came for since the last time.
        """
        paths = self.presence.unsettled(found)
        for start in range(0, len(paths), _BATCH):
            there = self._look(paths[start : start + _BATCH])
            now = self._clock.monotonic()
            for path in self.presence.seen(there, touched, now, self._scan.settle):
                self._check(path, there[path])
        self._lane.settling = self.presence.moving
        return self.presence.next_look(self._clock.monotonic(), self._scan.settle)

    def _look(self, paths: Sequence[str]) -> dict[str, FileStat]:
        """The stats of files, without those that are gone."""
        there = {}
        for start in range(0, len(paths), _BATCH):
            part = paths[start : start + _BATCH]
            stats = map(stat_of, self._ask_inbox("look", paths=part)["stats"])
            there.update({path: stat for path, stat in zip(part, stats, strict=True) if stat})
        return there

    def _check(self, path: str, stat: FileStat) -> None:
        try:
            limit = self._lane.config.limits.max_bytes
            answer = self._ask_inbox("check", path, path=path, max_bytes=limit)
        except (Truncated, LinkedElsewhere) as error:
            # A second name is what a copy has that is being linked into place.
            now = self._clock.monotonic()
            self.presence.checked_incomplete(path, error, now, self._patience)
        except PermanentError as error:
            self.presence.checked_bad(path, error)
        except FileBusy:
            self.presence.forget(path)
        except ShareHung as error:
            # Raises the same if it is the share; else it is a file that no reader comes through.
            self._look([path])
            self._let_the_work_find_out(path, stat, error)
        except EnvironmentTrouble:
            raise
        except RetouchdError as error:
            self._let_the_work_find_out(path, stat, error)
        else:
            checked = stat_of(answer["stat"])
            if checked:
                self.presence.checked_whole(path, checked, answer["decoded"])

    def _let_the_work_find_out(self, path: str, stat: FileStat, error: RetouchdError) -> None:
        """It may be the file, it may be the disk: the work counts attempts and crashes."""
        self._say("check failed", lane=self._lane.name, path=path, cause=error.message)
        self.presence.checked_whole(path, stat, 0)

    def _ask_inbox(self, task: str, subject: str | None = None, **values: Any) -> dict[str, Any]:
        inbox = self._lane.root("inbox")
        return self._ask(task, subject or inbox.path, root=to_wire(inbox), **values)


def owners(jobs: Sequence[Job], states: frozenset[State]) -> dict[str, int]:
    """Which job in one of these states a file in the inbox belongs to."""
    return {
        drop.path: job.id
        for job in jobs
        if job.state in states
        for drop in job.drops
        if drop.place is Place.INBOX and drop.role != "shared_mask"
    }


def _replaced(found: Found, stat: FileStat | None, now: FileStat | None) -> bool:
    """now: as it is, where somebody looked."""
    return stat is not None and (found.inode != stat.inode or (now is not None and now != stat))


def opened_since(before: list[Job], jobs: list[Job]) -> list[Job]:
    """Jobs that went back to the queue while the inbox was listed: their files were left out of the
    list, and would look as if they had been taken away."""
    then = {job.id for job in before if job.state in OPEN}
    return [job for job in jobs if job.state in OPEN and job.id not in then]
