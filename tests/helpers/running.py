"""The real service in the background."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from helpers.commands import FAST, Commands


class Running:
    """`retouchd run` in the background, its log lines readable as they come.

    verb: another command for it, like ``once``. under: a command to run it with, like
    ``strace -D``, which must become the service: if it stayed its parent, signals would not reach
    it. environment: more variables.
    """

    def __init__(
        self,
        spool: Commands,
        *more: str,
        verb: str = "run",
        under: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        options = (*FAST, "--set", "log.format=json", *more)
        command = [*under, *spool.command(verb, more=options)]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.lines: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._news:
                self.raw.append(line)
                if line.startswith("{"):
                    self.lines.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(
        self, event: str, count: int = 1, timeout: float = 90, **facts: Any
    ) -> dict[str, Any]:
        """Wait for the ``count``-th log line with that event."""

        def matching() -> list[dict[str, Any]]:
            return [
                line
                for line in self.lines
                if line["event"] == event and facts.items() <= line.items()
            ]

        with self._news:
            found = self._news.wait_for(lambda: len(matching()) >= count or self._ended, timeout)
            got = matching()
        assert found, f"no {event} {facts} in {''.join(self.raw)}"
        assert len(got) >= count, f"it ended without {event} {facts}: {''.join(self.raw)}"
        return got[count - 1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(5)

    def stop(self, timeout: float = 60) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.kill()
        self._reader.join(5)
        # Closing what somebody reads from would wait for ever.
        assert not self._reader.is_alive(), "another process still holds the service's stderr"
        if self.process.stderr:
            self.process.stderr.close()


def eventually(claim: Callable[[], bool], timeout: float = 60) -> bool:
    """Whether a claim becomes true in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.1)
    return claim()
