"""A daemon under measurement: photos in, and what the ledger and the kernel say about them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from retouchd.job import Job, State
from retouchd.ledger import LedgerReader
from retouchd.roots import MARKER

POLL = 0.25
STARTING = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """Processor seconds, user and system."""

    main: float
    hands: float

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.main - other.main, self.hands - other.hands)


@dataclass(frozen=True)
class Course:
    """One photo's way through the daemon. Times are seconds since the epoch."""

    job: Job
    claimed: float
    published: float
    done: float

    def seconds(self, stage: str) -> float:
        return self.job.timings.get(stage, 0.0) / 1000


@dataclass(frozen=True)
class Round:
    """What became of one folder of photos. cpu: from the drop to the last original filed."""

    dropped: float
    courses: list[Course]
    cpu: Cpu

    @property
    def wall(self) -> float:
        """Seconds from the first claim to the last publication."""
        return self.published - min(course.claimed for course in self.courses)

    @property
    def published(self) -> float:
        return max(course.published for course in self.courses)

    @property
    def filed(self) -> float:
        """Seconds from the drop to the last original filed."""
        return max(course.done for course in self.courses) - self.dropped

    def total(self, stage: str) -> float:
        return sum(course.seconds(stage) for course in self.courses)


class Daemon:
    """`retouchd run` on a folder of its own, ready when this returns.

    inbox: where below the inbox to drop: of the inpaint lane, or ``matte``, photos without masks.
    """

    def __init__(self, root: Path, model: str, sets: tuple[str, ...], inbox: str = "") -> None:
        self._root, self._rounds, self._inbox = root, 0, inbox
        options = [word for item in ("log.level=warning", *sets) for word in ("--set", item)]
        command = [sys.executable, "-m", "retouchd", "run", "--root", str(root), "--model", model]
        self._process = subprocess.Popen([*command, *options])
        self._ledger = self._when_ready()

    def _when_ready(self) -> LedgerReader:
        """The first scan has made the folders."""
        deadline = time.monotonic() + STARTING
        inbox = self._root / "inbox" / self._inbox
        while not all((place / MARKER).exists() for place in (inbox, self._root / "failed")):
            self._check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError("the daemon did not start")
            time.sleep(POLL)
        return LedgerReader(self._root / ".retouchd" / "ledger.sqlite3")

    def _check_alive(self) -> None:
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the daemon ended with {code}")

    def work(self, photos: Path) -> Round:
        """Drop a copy of a folder, all at once, and wait until its last original is filed."""
        self._rounds += 1
        name = f"round{self._rounds}"
        staged = self._root / f"staged-{name}"
        shutil.copytree(photos, staged)
        count = sum(1 for _ in photos.iterdir()) // (1 if self._inbox else 2)
        wanted = self._ledger.counts()[State.DONE] + count
        before, dropped = self._cpu(), time.time()
        staged.rename(self._root / "inbox" / self._inbox / name)
        self._wait_for(wanted)
        cpu = self._cpu() - before
        jobs = [job for job in self._ledger.jobs((State.DONE,)) if job.name.startswith(f"{name}/")]
        return Round(dropped, [self._course(job) for job in jobs], cpu)

    def _wait_for(self, wanted: int) -> None:
        while True:
            counts = self._ledger.counts()
            if counts[State.DONE] >= wanted:
                return
            if lost := counts[State.QUARANTINED]:
                raise RuntimeError(f"{lost} photos were set aside; see {self._root}/failed")
            self._check_alive()
            time.sleep(POLL)

    def _course(self, job: Job) -> Course:
        at = {change.after: change.at for change in self._ledger.changes(job.id)}
        return Course(job, at[State.RUNNING], at[State.PUBLISHED], at[State.DONE])

    def _cpu(self) -> Cpu:
        pid = self._process.pid
        tasks = Path(f"/proc/{pid}/task").iterdir()
        hands = [child for task in tasks for child in (task / "children").read_text().split()]
        return Cpu(_seconds(pid), sum(_seconds(int(hand)) for hand in hands))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._ledger.close()


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
