"""What was on the device when the process died, and whether it died of it.

The kernel keeps what was written when the process is killed; no sync is needed for that. After a
restart the notes say which jobs were on the device; together with a fault trace or the kernel's
out-of-memory counter that is evidence. A ``kill -9`` or a power cut leaves no evidence, and nobody
is blamed.

An abort is evidence only if the device's own thread (or one that it started) called it, or if the
device was stuck: systemd aborts a service that shows no sign of life, whatever part of it hangs.
The kernel gives such an abort to any thread that takes it, so neither the device's do nor those of
libraries, which no trace names (``deaf_to_aborts``).
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouchd.ledger.trouble import unusable

_SIZE = 1 << 20
_LEAST = 4000
_ABORT = "Fatal Python error: Aborted"
_CURRENT = re.compile(r"^Current thread (0x[0-9a-f]+)", re.MULTILINE)
DEVICE = "the device"
"""The name of the part that ``stuck`` is told about."""


@dataclass(frozen=True)
class Verdict:
    """jobs: on the device at the time. evidence: what they are blamed for, None without any.
    ended: what is known of the end, None after a proper one, a kill or a power cut. excused:
    another part of the service is known to be its cause, so it counts against no job at all."""

    jobs: frozenset[int]
    evidence: str | None
    ended: str | None = None
    excused: bool = False


class BlackBox:
    """The notes of this run. ``verdict`` is about the run before."""

    def __init__(self, folder: Path) -> None:
        trace = folder / "fault.log"
        self._boot, self._lock = _boot_id(), threading.Lock()
        self._jobs: tuple[int, ...] = ()
        self._stuck: tuple[str, ...] = ()
        self._thread = 0
        try:
            self._fd = os.open(folder / "blackbox", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self.verdict = self._judge(trace)
            self._trace = open(trace, "w", encoding="utf-8")  # noqa: SIM115 (faulthandler keeps it)
        except OSError as error:
            fix = "Give the folder to the service user, or set `state` elsewhere."
            raise unusable(folder, error, fix) from None
        faulthandler.enable(self._trace)
        self._note()

    def _judge(self, trace: Path) -> Verdict:
        notes = self._read()
        listed = notes.get("jobs")
        numbers = listed if isinstance(listed, list) else []
        jobs = frozenset(job for job in numbers if isinstance(job, int))
        text = ""
        with contextlib.suppress(OSError):
            text = trace.read_text(encoding="utf-8", errors="replace")
        if text.strip():
            return _judge_fault(jobs, notes, text.strip())
        same_boot = notes.get("boot") == self._boot
        if same_boot and jobs and oom_kills() > int(notes.get("oom_kills", 0)):
            return Verdict(jobs, "out of memory", "out of memory")
        return Verdict(jobs, None)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(os.pread(self._fd, _SIZE, 0).decode())
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def on_device(self, jobs: tuple[int, ...]) -> None:
        """Note which jobs are on the device now. To be called by the device's own thread."""
        with self._lock:
            self._jobs, self._thread = jobs, threading.get_ident()
            self._note()

    def stuck(self, parts: Sequence[str]) -> None:
        """Note which parts of the service make no progress; ``DEVICE`` is one of them."""
        with self._lock:
            if self._stuck != tuple(parts):
                self._stuck = tuple(parts)
                self._note()

    def _note(self) -> None:
        notes = {
            "boot": self._boot,
            "oom_kills": oom_kills(),
            "jobs": sorted(set(self._jobs)),
            "thread": self._thread,
            "stuck": self._stuck,
        }
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


@contextlib.contextmanager
def deaf_to_aborts() -> Iterator[None]:
    """Threads that are started meanwhile, and those that they start, leave aborts from outside to
    other threads: the device's, and those that libraries of arithmetic start when imported. What
    calls ``abort`` itself ends by it all the same: that unblocks it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _judge_fault(jobs: frozenset[int], notes: dict[str, Any], text: str) -> Verdict:
    """text: faulthandler's, with the thread that the signal came to."""
    fault = text.splitlines()[0]
    listed = notes.get("stuck")
    stuck = [str(part) for part in listed] if isinstance(listed, list) else []
    if fault == _ABORT and stuck:
        ended = f"{', '.join(stuck)} made no progress for too long"
        blamed = DEVICE in stuck
        return Verdict(jobs, ended if blamed else None, ended, excused=not blamed)
    current = _CURRENT.search(text)
    # A thread without Python in it is named nowhere: one of those that do the device's work.
    device = current is None or int(current[1], 16) == notes.get("thread")
    return Verdict(jobs, fault if fault != _ABORT or device else None, fault)


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
