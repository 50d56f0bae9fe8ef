"""Somebody who listens to a service as systemd does."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from pathlib import Path


class Notified:
    """Receives the datagrams of sd_notify(3) at ``path``. seen: when (monotonic) and what."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.2)
        self.seen: list[tuple[float, dict[str, str]]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                lines = self._socket.recv(65536).decode().splitlines()
                self.seen.append((time.monotonic(), dict(line.split("=", 1) for line in lines)))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)
        self._socket.close()

    def environment(self, seconds: float) -> dict[str, str]:
        """What systemd tells a service that it watches. seconds: WatchdogSec."""
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(int(seconds * 1e6))}

    def times(self, **wanted: str) -> list[float]:
        """When these variables came."""
        return [at for at, fields in list(self.seen) if wanted.items() <= fields.items()]

    def longest_silence(self, since: float, until: float) -> float:
        """Seconds between two signs of life, at most, in some time."""
        pings = [at for at in self.times(WATCHDOG="1") if since <= at <= until]
        return max(b - a for a, b in itertools.pairwise([since, *pings, until]))
