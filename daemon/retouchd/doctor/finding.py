"""What a check found, in words for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retouchd.errors import RetouchdError

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """check: what was looked at. remedy: what to do, None where there is nothing to do.

    level: ``problem`` keeps work from being done; ``warning`` may do so one day.
    """

    check: str
    level: Level
    message: str
    remedy: str | None = None


def fine(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(check, "warning", message, remedy)


def problem(check: str, message: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, "problem", message, remedy)


def from_error(check: str, error: RetouchdError) -> Finding:
    """The problem that an error means."""
    return Finding(check, "problem", error.message, error.advice)
