"""Which processes stand still, by what the kernel counts of them (proc(5))."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class Stillness:
    """Remembers looks at processes. patience: seconds without a sign of work."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[int, tuple[str, float]] = {}

    def look(self, pids: Iterable[int], now: float) -> set[int]:
        """Those of the processes that have not run at all for so long; now: any clock's seconds.

        One that nothing can be told of does not count.
        """
        before, self._seen = self._seen, {}
        for pid in pids:
            work = _work(pid)
            if work is not None:
                was, since = before.get(pid, (None, now))
                self._seen[pid] = (work, since if was == work else now)
        return {pid for pid, (_, since) in self._seen.items() if now - since >= self._patience}


def _work(pid: int) -> str | None:
    """Time on the processor, and how often it got there: each changes when a process runs."""
    folder = Path("/proc", str(pid))
    try:
        # Its name, in brackets, may hold anything.
        times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        turns = (folder / "status").read_text().partition("voluntary_ctxt_switches")[2]
    except OSError:
        return None
    return " ".join((*times, *turns.split()))
