"""What was on the device when the process died, and whether it died of it.

The kernel keeps what was written when the process is killed; no sync is needed for that. After a
restart the notes say which jobs were on the device; together with a fault trace or the kernel's
out-of-memory counter that is evidence. A ``kill -9`` or a power cut leaves no evidence, and nobody
is blamed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouchd.ledger.trouble import unusable

_SIZE = 1 << 20
_LEAST = 4000


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
        try:
            self._fd = os.open(folder / "blackbox", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self.verdict = self._judge(trace)
            self._trace = open(trace, "w", encoding="utf-8")  # noqa: SIM115 (faulthandler keeps it)
        except OSError as error:
            fix = "Give the folder to the service user, or set `state` elsewhere."
            raise unusable(folder, error, fix) from None
        faulthandler.enable(self._trace)
        self.on_device(())

    def _judge(self, trace: Path) -> Verdict:
        notes = self._read()
        listed = notes.get("jobs")
        numbers = listed if isinstance(listed, list) else []
        jobs = frozenset(job for job in numbers if isinstance(job, int))
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
        try:
            found = json.loads(os.pread(self._fd, _SIZE, 0).decode())
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def on_device(self, jobs: tuple[int, ...]) -> None:
        """Note which jobs are on the device now."""
        notes = {"boot": self._boot, "oom_kills": oom_kills(), "jobs": sorted(set(jobs))}
        # Padded, so that nothing of a longer note stays behind it. Not through a memory map: on
        # a full disk that would end the process (SIGBUS), and here it only costs the note.
        data = json.dumps(notes).encode().ljust(_LEAST)
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))

    def close(self) -> None:
        """The run ended as it should."""
        self.on_device(())
        faulthandler.disable()
        self._trace.close()
        os.close(self._fd)
        self._fd = -1


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
