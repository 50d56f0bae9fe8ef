"""A run of the real command that is to be killed."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from helpers.commands import Commands


class Victim:
    """`retouchd once` in the background. under, environment: see ``helpers.running.Running``."""

    def __init__(
        self,
        spool: Commands,
        *more: str,
        under: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [*under, *spool.command("once", more=more)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def wait_for_lines(self, count: int, timeout: float = 900) -> None:
        """Until it has said so many lines, or has ended."""
        deadline = time.monotonic() + timeout
        while self.lives and len(self.lines) < count and time.monotonic() < deadline:
            time.sleep(0.002)

    def wait(self, timeout: float = 1800) -> bool:
        """Wait for its end; returns whether it was killed."""
        code = self.process.wait(timeout)
        assert code in (0, 3, 75, -9), "".join(self.lines)
        self._close()
        return code == -9

    def kill(self) -> bool:
        """Returns whether it still lived."""
        lived = self.lives
        self.process.kill()
        self.process.wait(30)
        self._close()
        return lived

    def _close(self) -> None:
        self._reader.join(30)
        assert not self._reader.is_alive(), "another process still holds the service's stderr"
        if self.process.stderr:
            self.process.stderr.close()


def kill_again_and_again(start: Callable[..., Any], lives: Iterable[float], *options: str) -> None:
    """Services one after the other, each killed so many seconds after its start."""
    for seconds in lives:
        running = start(*options)
        time.sleep(seconds)
        running.kill()


def kill_at_commits(
    spool: Commands, inject: Callable[..., list[str]], moment: int, *options: str
) -> None:
    """Six runs one after the other, each killed at the n-th commit of a thread, where it makes so
    many: before that reaches the disk, so that the deed may be done and the ledger not know."""
    words = ("--set", "scan.settle=200ms", "--set", "hands=1", *options)
    for _ in range(6):
        under = inject(f"fdatasync:signal=SIGKILL:when={moment}")
        victim = Victim(spool, *words, under=under)
        victim.wait(300)
        assert victim.process.returncode in (0, -9), "".join(victim.lines)
