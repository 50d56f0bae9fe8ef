"""A wall clock for services that a test sets as it likes, also while they run."""

from __future__ import annotations

import os
import struct
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

_MUTANT = Path(__file__).parents[1] / "faults" / "other_clock"


class WallClock:
    """zone: the services' time zone. environment: for those whose clock it shall be."""

    def __init__(self, folder: Path, zone: str = "Europe/Berlin") -> None:
        self._path, self.zone = folder / "clock", ZoneInfo(zone)
        self._path.write_bytes(bytes(8))
        self.environment = {
            "RETOUCHD_TEST_CLOCK": str(self._path),
            "PYTHONPATH": os.pathsep.join((str(_MUTANT), os.environ["PYTHONPATH"])),
            "TZ": zone,
        }

    def set(self, local: str, fold: int = 0) -> None:
        """Let it be this local time, like ``2026-10-25 02:30:00``. fold: 1 means the second of two
        that are called so."""
        then = datetime.fromisoformat(local).replace(tzinfo=self.zone, fold=fold)
        self._shift(then.timestamp() - time.time())

    @property
    def ahead(self) -> float:
        """Seconds by which it is ahead of the real one."""
        shift: float = struct.unpack("<d", self._path.read_bytes())[0]
        return shift

    def now(self) -> float:
        """Seconds since the epoch, as the services see them."""
        return time.time() + self.ahead

    def step(self, seconds: float) -> None:
        """Set it forward, or back."""
        self._shift(self.ahead + seconds)

    def _shift(self, seconds: float) -> None:
        # In place: the services have mapped it.
        with self._path.open("r+b") as file:
            file.write(struct.pack("<d", seconds))
