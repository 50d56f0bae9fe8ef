"""The lanes at run time: their open questions, their roots, and whether they are paused."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from retouchd.config import Lane
from retouchd.errors import EnvironmentTrouble
from retouchd.roots import RootRef

ROLES = ("inbox", "outbox", "archive", "failed")


@dataclass(frozen=True)
class Pause:
    """Why a lane does not work. needed: bytes that have to be free before it goes on."""

    reason: str
    remedy: str
    since: float
    needed: int = 0


class LaneState:
    """One lane of the running service. Its methods may be called from any thread."""

    def __init__(self, config: Lane) -> None:
        self.config = config
        self.watching = "scan"
        self.file_system = ""
        self.settling = 0
        self._roots: dict[str, RootRef] = {}
        self._pause: Pause | None = None
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

    def pause_for(self, error: EnvironmentTrouble, now: float, needed: int = 0) -> bool:
        """Pause the lane; returns whether it was not paused before."""
        with self._lock:
            fresh = self._pause is None
            since = now if self._pause is None else self._pause.since
            self._pause = Pause(error.message, error.advice, since, needed)
            return fresh

    def resume(self) -> bool:
        """Let the lane work again; returns whether it was paused."""
        with self._lock:
            was, self._pause = self._pause, None
            return was is not None

    def set_roots(self, roots: dict[str, RootRef]) -> None:
        """Take the roots that were set up or checked."""
        with self._lock:
            self._roots = dict(roots)

    @property
    def ready(self) -> bool:
        """Whether all four roots are known."""
        with self._lock:
            return len(self._roots) == len(ROLES)

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
