"""How many bytes of decoded photos may be in memory at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class ByteBudget:
    """A semaphore over bytes. What is larger than all of it runs alone.

    A lane that holds nothing need not wait for the others, whose shares may hang: one at a time may
    go over the total.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._used = 0
        self._raised = 0
        self._lanes: Counter[str] = Counter()
        self._beyond: str | None = None
        self._condition = threading.Condition()

    @contextmanager
    def spend(self, amount: int, lane: str = "") -> Iterator[None]:
        """Hold ``amount`` bytes for a lane; waits until they are free."""
        amount = min(amount, self.total)
        with self._condition:
            self._condition.wait_for(lambda: self._fits(amount) or self._may_go_beyond(lane))
            if not self._fits(amount):
                self._beyond = lane
            self._used += amount
            self._lanes[lane] += 1
        try:
            yield
        finally:
            with self._condition:
                self._lanes[lane] -= 1
                if self._beyond == lane and not self._lanes[lane]:
                    self._beyond = None
            self._give_back(amount)

    @contextmanager
    def raised(self, amount: int) -> Iterator[None]:
        """Hold ``amount`` bytes more, inside ``spend``; waits until they are free.

        One at a time may go over the total: two that wait for each other's would wait for ever.
        """
        with self._condition:
            self._condition.wait_for(lambda: not self._raised or self._fits(amount))
            self._used += amount
            self._raised += 1
        try:
            yield
        finally:
            with self._condition:
                self._raised -= 1
            self._give_back(amount)

    def _may_go_beyond(self, lane: str) -> bool:
        return self._beyond is None and not self._lanes[lane]

    def _fits(self, amount: int) -> bool:
        return self._used + amount <= self.total

    def _give_back(self, amount: int) -> None:
        with self._condition:
            self._used -= amount
            self._condition.notify_all()
