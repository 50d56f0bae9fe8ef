"""The lanes at run time: their open questions, their roots, and whether they are paused."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from retouchd.config import Lane
from retouchd.errors import DiskFull, InboxTaken, TransientError
from retouchd.roots import RootRef

_FIRST_HOLD = 5.0
_LONGEST_HOLD = 60.0


@dataclass(frozen=True)
class Pause:
    """Why a lane does not work.

    path: where the trouble was met. needed: bytes that have to be free before it goes on. seen:
    whether a look at the lane's folders met the trouble, too; else only jobs did so far. hold:
    seconds from ``since`` before which looking is of no use. full: space is lacking, which
    retention may find. taken: the inbox is another service's.
    """

    reason: str
    remedy: str
    since: float
    path: str = ""
    needed: int = 0
    seen: bool = False
    hold: float = 0.0
    full: bool = False
    taken: InboxTaken | None = None

    def left(self, now: float) -> float:
        """Seconds until a look is due; 0 after a jump of the clock."""
        left = self.since + self.hold - now
        return left if 0 < left <= self.hold else 0.0


@dataclass(frozen=True)
class Moved:
    """The configuration named another inbox: where it was until when, in epoch seconds."""

    inbox: str
    at: float


class LaneState:
    """One lane of the running service. Its methods may be called from any thread."""

    def __init__(self, config: Lane) -> None:
        self.config = config
        self.watching = ""  # until its intake has looked: events or scan
        self.file_system = ""
        self.settling = 0
        self.moved: Moved | None = None
        self._roots: dict[str, RootRef] = {}
        self._pause: Pause | None = None
        self._relapses = self._recoveries = 0
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The lane's name."""
        return self.config.name

    @property
    def pause(self) -> Pause | None:
        """Why the lane is paused, None while it is not."""
        with self._lock:
            return self._pause

    def pause_for(self, error: TransientError, now: float, *, seen: bool = False) -> bool:
        """Pause the lane; returns whether it was not paused before.

        seen: whether the trouble was met by a look at the folders, and not by a job.
        """
        needed, path = int(error.facts.get("needed", 0)), str(error.facts.get("path", ""))
        with self._lock:
            was = self._pause
            self._pause = Pause(
                error.message,
                error.advice,
                since=was.since if was else now,
                path=path,
                # What another trouble needs is still needed, or the lane would flap.
                needed=max(needed, was.needed) if was else needed,
                seen=seen or (was is not None and was.seen),
                hold=0.0 if seen else (was.hold if was else self._hold()),
                full=isinstance(error, DiskFull),
                taken=error if isinstance(error, InboxTaken) else None,
            )
            return was is None

    def _hold(self) -> float:
        """Longer from time to time while jobs meet what looking at the folders does not."""
        if not self._relapses:
            return 0.0
        return float(min(_FIRST_HOLD * 2 ** (self._relapses - 1), _LONGEST_HOLD))

    def resume(self) -> bool:
        """Let the lane work again, because its folders seem well; returns whether it was paused."""
        with self._lock:
            was, self._pause = self._pause, None
            if was and was.seen:
                self._recoveries += 1
                self._relapses = 0
            elif was:
                self._relapses += 1
            return was is not None

    def worked(self) -> None:
        """A job of the lane got through."""
        with self._lock:
            self._relapses = 0

    @property
    def relapses(self) -> int:
        """Pauses since a job got through for which the folders showed no reason."""
        with self._lock:
            return self._relapses

    @property
    def recoveries(self) -> int:
        """How often trouble that the folders showed has passed."""
        with self._lock:
            return self._recoveries

    def set_roots(self, roots: dict[str, RootRef]) -> None:
        """Take the roots that were set up or checked."""
        with self._lock:
            self._roots = dict(roots)

    @property
    def ready(self) -> bool:
        """Whether all its roots are known."""
        with self._lock:
            return set(self._roots) == set(self.config.folders)

    def root(self, role: str) -> RootRef:
        """The root of one role; only after ``ready``."""
        with self._lock:
            return self._roots[role]


class Lanes:
    """All lanes of the running service."""

    def __init__(self, configs: Sequence[Lane]) -> None:
        self._lock = threading.Lock()
        self._lanes = {config.name: LaneState(config) for config in configs}

    def __iter__(self) -> Iterator[LaneState]:
        with self._lock:
            return iter(list(self._lanes.values()))

    def get(self, name: str) -> LaneState | None:
        """The lane of that name, None when it is no longer configured."""
        with self._lock:
            return self._lanes.get(name)

    def working(self, local: datetime) -> list[str]:
        """Names of the lanes that may start jobs at this local time."""
        return [
            lane.name
            for lane in self
            if lane.ready and lane.pause is None and lane.config.schedule.allows(local)
        ]

    def reload(self, configs: Sequence[Lane]) -> None:
        """Take a new configuration; lanes whose folders stay keep their state."""
        with self._lock:
            old, self._lanes = self._lanes, {}
            for config in configs:
                kept = old.get(config.name)
                if kept is not None and kept.config.folders == config.folders:
                    kept.config = config
                else:
                    kept = LaneState(config)
                self._lanes[config.name] = kept
