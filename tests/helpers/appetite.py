"""How much memory a service and its hands take, watched from outside."""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Callable
from pathlib import Path

EVERY = 0.1
MIB = 1 << 20


def held(pid: int) -> int:
    """Bytes of a process by proportional set size; 0 for one that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0


def allowed(pid: int) -> int:
    """Bytes of address space that a process may take."""
    return resource.prlimit(pid, resource.RLIMIT_AS)[0]


class Appetite:
    """Samples a service and its hands until it is closed; peaks in bytes."""

    def __init__(self, service: int, children: Callable[[int], list[int]]) -> None:
        self._service, self._children = service, children
        self.idle = held(service)
        self.of_service = self.of_hand = self.of_all = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            with contextlib.suppress(OSError):
                service = held(self._service)
                hands = [held(pid) for pid in self._children(self._service)]
                self.of_service = max(self.of_service, service)
                self.of_hand = max(self.of_hand, *hands, 0)
                self.of_all = max(self.of_all, service + sum(hands))

    def close(self) -> None:
        self._end.set()
        self._thread.join(10)
