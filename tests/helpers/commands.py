"""The real command line, run to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

FAST = [
    "--set",
    "scan.settle=200ms",
    "--set",
    "scan.answer_within=20s",
    "--set",
    "retry.first=200ms",
]


class Commands:
    """The command line for one configuration. where: the options that name it."""

    where: tuple[str, ...]

    def command(self, *words: str, more: tuple[str, ...] = ()) -> list[str]:
        return [sys.executable, "-m", "retouchd", *words, *self.where, *more]

    def retouchd(
        self,
        *words: str,
        fast: bool = False,
        timeout: float = 300,
        under: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> Any:
        """Run one command to its end; under, environment: see ``Running``."""
        more = tuple(FAST) if fast else ()
        return subprocess.run(
            [*under, *self.command(*words, more=more)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(environment or {})},
        )

    def once(self, *more: str) -> Any:
        return self.retouchd("once", *more, fast=True)

    def status(self) -> dict[str, Any]:
        done = self.retouchd("status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def jobs(self) -> list[dict[str, Any]]:
        return json.loads(self.retouchd("jobs", "--json", "--limit", "0").stdout)
