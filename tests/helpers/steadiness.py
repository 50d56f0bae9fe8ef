"""How much a service and its hands hold, looked at again and again while it has nothing to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from helpers.appetite import held

WARM_UP = 0.2
"""The part of the looks that shows how a service becomes warm."""


@dataclass(frozen=True)
class Look:
    """At one moment at which nothing is under way. Memory in KiB: what is resident, the
    proportional share of that, and what is its own; of the hands their sums. ledger, journal: bytes
    of its file and of its write-ahead log."""

    jobs: int
    service_rss: int
    service_pss: int
    service_own: int
    hands_rss: int
    hands_pss: int
    hands_own: int
    hands: int
    service_files: int
    hands_files: int
    service_threads: int
    hands_threads: int
    ledger: int
    journal: int

    @property
    def all_pss(self) -> int:
        return self.service_pss + self.hands_pss


MEASURES = (
    *("service_rss", "service_pss", "service_own"),
    *("hands_rss", "hands_pss", "hands_own", "all_pss"),
)
COUNTS = ("hands", "service_files", "hands_files", "service_threads", "hands_threads")


def look(jobs: int, service: int, children: Callable[[int], list[int]], state: Path) -> Look:
    """What they hold now. service: its process number."""
    hands = children(service)
    ledger = state / "ledger.sqlite3"
    return Look(
        jobs,
        service_rss=_status(service, "VmRSS"),
        service_pss=held(service) >> 10,
        service_own=_status(service, "RssAnon"),
        hands_rss=sum(_status(pid, "VmRSS") for pid in hands),
        hands_pss=sum(held(pid) for pid in hands) >> 10,
        hands_own=sum(_status(pid, "RssAnon") for pid in hands),
        hands=len(hands),
        service_files=_files(service),
        hands_files=sum(map(_files, hands)),
        service_threads=_status(service, "Threads"),
        hands_threads=sum(_status(pid, "Threads") for pid in hands),
        ledger=ledger.stat().st_size,
        journal=ledger.with_name("ledger.sqlite3-wal").stat().st_size,
    )


def drift(looks: list[Look], name: str) -> float:
    """By how much a measure changed from the first to the second half of the looks after the
    warm-up, by their medians; 0.01 is one percent more."""
    warm = looks[round(len(looks) * WARM_UP) :]
    middle = len(warm) // 2
    early, late = (median(getattr(one, name) for one in part) for part in _halves(warm, middle))
    return float(late / early - 1)


def _halves(looks: list[Look], middle: int) -> tuple[list[Look], list[Look]]:
    return looks[:middle], looks[len(looks) - middle :]


def line(one: Look) -> str:
    """For a report."""
    facts = asdict(one)
    memory = {name: f"{getattr(one, name) / 1024:.1f}" for name in MEASURES}
    return " ".join(f"{name}={value}" for name, value in {**facts, **memory}.items())


def _status(pid: int, key: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(int(row.split()[1]) for row in text.splitlines() if row.startswith(f"{key}:"))


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
