"""The two clocks, as arguments: nothing that decides reads the time by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Clock:
    """now: wall clock, seconds since the epoch. monotonic: seconds, never set back."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def local(self, at: float | None = None) -> datetime:
        """The wall clock, or ``at``, as local time with its offset, right across DST changes."""
        return datetime.fromtimestamp(self.now() if at is None else at).astimezone()
