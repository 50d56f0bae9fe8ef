"""What was on the device when the process died, and whether it died of it.

The notes lie in a memory-mapped file: writing them costs no system call, and the kernel keeps
them when the process is killed. After a restart they say which jobs were on the device; together
with a fault trace or the kernel's out-of-memory counter that is evidence. A ``kill -9`` or a power
cut leaves no evidence, and nobody is blamed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SIZE = 65536


@dataclass(frozen=True)
class Verdict:
    """jobs: on the device at the time. evidence: what they are blamed for, None without any."""

    jobs: frozenset[int]
    evidence: str | None


class BlackBox:
    """The notes of this run. ``verdict`` is about the run before."""

    def __init__(self, folder: Path) -> None:
        trace = folder / "fault.log"
        self._boot = _boot_id()
        fd = os.open(folder / "blackbox", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.ftruncate(fd, _SIZE)
            self._memory = mmap.mmap(fd, _SIZE)
        finally:
            os.close(fd)
        self.verdict = self._judge(trace)
        self._trace = open(trace, "w", encoding="utf-8")  # noqa: SIM115 (faulthandler keeps it)
        faulthandler.enable(self._trace)
        self.on_device(())

    def _judge(self, trace: Path) -> Verdict:
        notes = self._read()
        jobs = frozenset(int(job) for job in notes.get("jobs", []))
        text = ""
        with contextlib.suppress(OSError):
            text = trace.read_text(encoding="utf-8", errors="replace")
        if text.strip():
            return Verdict(jobs, text.strip().splitlines()[0])
        same_boot = notes.get("boot") == self._boot
        if same_boot and jobs and oom_kills() > int(notes.get("oom_kills", 0)):
            return Verdict(jobs, "out of memory")
        return Verdict(jobs, None)

    def _read(self) -> dict[str, Any]:
        length = int.from_bytes(self._memory[:4], "big")
        try:
            found = json.loads(self._memory[4 : 4 + length].decode()) if length else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def on_device(self, jobs: tuple[int, ...]) -> None:
        """Note which jobs are on the device now."""
        notes = {"boot": self._boot, "oom_kills": oom_kills(), "jobs": sorted(set(jobs))}
        data = json.dumps(notes).encode()[: _SIZE - 4]
        # Length zero while the text changes, so that a half-written note reads as none.
        self._memory[:4] = bytes(4)
        self._memory[4 : 4 + len(data)] = data
        self._memory[:4] = len(data).to_bytes(4, "big")

    def close(self) -> None:
        """The run ended as it should."""
        self.on_device(())
        faulthandler.disable()
        self._trace.close()
        self._memory.close()


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def oom_kills() -> int:
    """How often the kernel has killed for want of memory since it booted."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("oom_kill ")]
    except OSError:
        return 0
    return int(lines[0][1]) if lines else 0
