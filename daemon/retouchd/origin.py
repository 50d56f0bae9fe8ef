"""The file that a running service has its configuration from, and whether the two still agree."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouchd.errors import StartError


@dataclass(frozen=True)
class Difference:
    """How the file differs from what is in force, and what to do about it."""

    cause: str
    remedy: str


class Origin:
    """The service's side: what it read, took and refused. file: None where it has none.

    To be made before the configuration is read, so that a change in between is seen.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._offered = self._taken = fingerprint(file)
        self._refused: dict[str, Any] | None = None

    @property
    def refused(self) -> bool:
        """Whether the last reload was."""
        return self._refused is not None

    def offer(self) -> None:
        """The file is about to be read again."""
        self._offered = fingerprint(self._file)

    def take(self) -> None:
        """What was read is in force."""
        self._taken, self._refused = self._offered, None

    def refuse(self, error: StartError) -> None:
        """What was read can't be used."""
        self._refused = {
            "sha256": self._offered,
            "cause": _told(error),
            "remedy": error.advice,
        }

    def facts(self) -> dict[str, Any]:
        """For ``difference``, as plain values."""
        file = str(self._file) if self._file else None
        return {"file": file, "sha256": self._taken, "refused": self._refused}


def _told(error: StartError) -> str:
    return "{where}: {cause}".format_map(error.facts) if "where" in error.facts else error.message


def fingerprint(file: Path | None) -> str | None:
    """The sha256 of a file's content; None where it can't be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file else None
    except OSError:
        return None


def difference(facts: Mapping[str, Any], trouble: StartError | None = None) -> Difference | None:
    """How the file differs from what a service has in force; None where it doesn't.

    facts: those of its ``Origin``. trouble: what is wrong with the file now, if that is known.
    """
    file = facts.get("file")
    if not file:
        return None
    now, refused = fingerprint(Path(file)), facts.get("refused") or {}
    if now and now == facts.get("sha256"):
        return None
    if now and now == refused.get("sha256"):
        return Difference(f"{file} was rejected: {refused['cause']}", str(refused["remedy"]))
    if trouble:
        return Difference(f"{file} can't be used: {_told(trouble)}", trouble.advice)
    if now is None:
        return Difference(f"{file} can't be read", "Put it back, or see to its permissions.")
    return Difference(
        f"{file} was changed since the service read it",
        "`retouchd config check` tells whether it can be used, and `systemctl reload retouchd` "
        "(SIGHUP) has it read again.",
    )
