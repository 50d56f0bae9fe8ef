"""What the intake remembers of the files in one inbox: which have settled, which have not yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from retouchd.errors import PermanentError
from retouchd.job import FileStat
from retouchd.listing import Found
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

_MOST_DECODED = 1 << 60
"""Bytes. A header can claim any size; what is over the lane's limit is for the work to say, and a
number that the ledger can't hold must not keep it from telling of all the other files."""


@dataclass(frozen=True)
class Whole:
    """A settled file. decoded: estimate of its size in memory, in bytes, less than 64 bits."""

    stat: FileStat
    decoded: int


class Presence:
    """The files of one inbox between two scans. Pure state: no I/O, no clock."""

    def __init__(self) -> None:
        self.whole: dict[str, Whole] = {}
        self.bad: dict[str, PermanentError] = {}
        self._moving: dict[str, Observation] = {}
        self._next_check: dict[str, float] = {}

    def trust(self, path: str, stat: FileStat, decoded: int) -> None:
        """Believe an earlier run of the service that this version had settled."""
        self.whole[path] = Whole(stat, decoded)

    def keep_only(self, found: Iterable[Found]) -> None:
        """Forget what is gone, and what has another inode and so is another file."""
        inodes = {file.path: file.inode for file in found}
        for path in [p for p, w in self.whole.items() if inodes.get(p) != w.stat.inode]:
            self.forget(path)
        for path in [p for p in self._moving if p not in inodes]:
            self.forget(path)

    def forget(self, path: str) -> None:
        """Let a file settle anew."""
        self.whole.pop(path, None)
        self.bad.pop(path, None)
        self._moving.pop(path, None)
        self._next_check.pop(path, None)

    def forget_moving(self) -> None:
        """Start all observations anew, because nobody could look for a while."""
        self._moving.clear()
        self._next_check.clear()

    def unsettled(self, found: Iterable[Found]) -> list[str]:
        """The files that have to be looked at."""
        return [file.path for file in found if file.path not in self.whole]

    @property
    def moving(self) -> int:
        """Number of files that have not settled."""
        return len(self._moving)

    def seen(
        self, stats: Mapping[str, FileStat], touched: frozenset[str], now: float, settle: float
    ) -> list[str]:
        """Take in a look; returns the files whose content is to be checked now."""
        ready = []
        for path, stat in stats.items():
            before = self._moving.get(path)
            observation = observe(before, stat, now, path in touched)
            if before and observation.since != before.since:
                self._next_check.pop(path, None)
            self._moving[path] = observation
            still = isinstance(decide(observation, settle, now), Settled)
            if still and self._next_check.get(path, now) <= now:
                ready.append(path)
        return ready

    def checked_whole(self, path: str, stat: FileStat, decoded: int) -> None:
        """The content is complete, unless the file changed since the look."""
        observation = self._moving.get(path)
        if observation and observation.stat == stat:
            self._settle(path, Whole(stat, min(decoded, _MOST_DECODED)))

    def checked_bad(self, path: str, error: PermanentError) -> None:
        """The content can never be used, whatever happens to the file's end."""
        self.bad[path] = error
        self._settle(path, Whole(self._moving[path].stat, 0))

    def checked_incomplete(
        self, path: str, error: PermanentError, now: float, incomplete_after: float
    ) -> None:
        """The content is not whole yet; after the deadline that is its error."""
        match after_check(self._moving[path], False, now, incomplete_after):
            case GiveUp():
                self.checked_bad(path, error)
            case TryAgain(at):
                self._next_check[path] = at
            case Ready():
                raise AssertionError("an incomplete file is never ready")

    def _settle(self, path: str, whole: Whole) -> None:
        self.whole[path] = whole
        self._moving.pop(path, None)
        self._next_check.pop(path, None)

    def next_look(self, now: float, settle: float) -> float | None:
        """When to look again, in monotonic seconds; None when everything has settled."""
        times = []
        for path, observation in self._moving.items():
            step = decide(observation, settle, now)
            wait = step.until if isinstance(step, Wait) else now
            times.append(max(wait, self._next_check.get(path, 0.0)))
        return min(times, default=None)
