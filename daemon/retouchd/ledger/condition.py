"""Whether the ledger takes commits, and that it is said once when it doesn't."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from retouchd.errors import LedgerUnusable
from retouchd.ledger.trouble import LOOK, unusable

Trouble = sqlite3.Error | LedgerUnusable
"""What the ledger says when it can't be used, and what that means."""


class Condition:
    """What the parts of a service hear from the ledger at ``path``.

    trouble: why nothing can be promised now, None while all is well. since: since when, in
    monotonic seconds. say: logs an event.
    """

    def __init__(self, path: Path, say: Callable[..., None]) -> None:
        self._path, self._say = path, say
        self._said: set[str] = set()
        self.trouble: LedgerUnusable | None = None
        self.since: float | None = None

    def hear(self, error: Trouble | None, now: float) -> None:
        """Take what came of the last tries. now: monotonic seconds."""
        if error is None:
            if self.trouble:
                self._say("ledger works again")
            self.trouble = self.since = None
            self._said.clear()
            return
        found = error if isinstance(error, LedgerUnusable) else unusable(self._path, error, LOOK)
        self.trouble = found
        self.since = now if self.since is None else self.since
        if found.message not in self._said:
            self._said.add(found.message)
            facts = {"cause": str(found.facts["cause"]), "remedy": found.advice}
            self._say("ledger trouble", level="error", **facts)

    @property
    def facts(self) -> dict[str, str] | None:
        """The trouble and what to do about it, as plain values for the live facts."""
        found = self.trouble
        return {"trouble": found.message, "remedy": found.advice} if found else None

    def over_patience(self, now: float, patience: float) -> bool:
        """Whether there has been trouble for longer than ``patience`` seconds."""
        return self.since is not None and now - self.since > patience
