"""A control group in which memory ends: the kernel kills who takes too much."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

_V1, _V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class Cage:
    """Skips the test where there is no way to limit memory."""

    def __init__(self, name: str) -> None:
        if os.geteuid() != 0:
            pytest.skip("limiting memory needs root")
        self._old = (_V1 / "memory.limit_in_bytes").exists()
        self._folder = (_V1 if self._old else _V2) / name
        try:
            self._folder.mkdir()
            self.limit(1 << 40)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
            pytest.skip(f"memory can't be limited here: {error}")

    @property
    def under(self) -> tuple[str, ...]:
        """The command with which to run what shall be in it."""
        enter = f'echo $$ > {self._folder}/cgroup.procs && exec "$@"'
        return ("sh", "-c", enter, "sh")

    def limit(self, size: int) -> None:
        """Bytes that all processes in it may use together."""
        name = "memory.limit_in_bytes" if self._old else "memory.max"
        (self._folder / name).write_text(str(size))

    @property
    def used(self) -> int:
        name = "memory.usage_in_bytes" if self._old else "memory.current"
        return int((self._folder / name).read_text())

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed for it."""
        name = "memory.oom_control" if self._old else "memory.events"
        lines = (self._folder / name).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def close(self) -> None:
        """Call it when all processes in it have ended."""
        for _ in range(50):
            try:
                self._folder.rmdir()
            except OSError:
                time.sleep(0.1)
            else:
                return
