"""Somebody who swaps what lies under a name, as fast as can be."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_EXCHANGE, _HERE = 2, -100
_RENAME = ctypes.CDLL(None, use_errno=True).renameat2


def exchange(one: bytes, other: bytes) -> bool:
    """Let two names change places in one step; whether both were there."""
    if _RENAME(_HERE, one, _HERE, other, _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOENT, errno.ENOTDIR):
        return False
    raise OSError(number, os.strerror(number))


class Swaps:
    """Swaps pairs of names until it is stopped, to and fro, so that each is itself again then.

    count: how often so far.
    """

    def __init__(self, pairs: Sequence[tuple[Path, Path]], seed: int = 0) -> None:
        self._pairs = [(os.fsencode(one), os.fsencode(other)) for one, other in pairs]
        self._chance, self._end, self.count = random.Random(seed), threading.Event(), 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # In bursts: what never rests for a moment never counts as settled, and is not opened.
        while not self._end.is_set():
            ends = time.monotonic() + self._chance.expovariate(50)
            while time.monotonic() < ends:
                swapped = [pair for pair in self._pairs if exchange(*pair)]
                self.count += len(swapped) + sum(exchange(*pair) for pair in reversed(swapped))
            time.sleep(self._chance.expovariate(50))

    def stop(self) -> int:
        """Let everything lie as it did; gives how many swaps there were."""
        self._end.set()
        self._thread.join(30)
        return self.count
