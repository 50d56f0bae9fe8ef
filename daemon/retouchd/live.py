"""What only the running service knows, in a small file for `status` and the others to read."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from retouchd.ledger.lock import holder

NAME = "live.json"
LOADING = "a device still to be chosen"
"""Where a service works that still loads its models."""


def write_live(state: Path, facts: dict[str, Any]) -> None:
    """Replace the file at once, so that no reader sees half of it. A full disk is no reason to
    stop: then the old one stays."""
    temporary = state / f"{NAME}.tmp"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(facts), encoding="utf-8")
        os.replace(temporary, state / NAME)


def read_live(state: Path) -> dict[str, Any] | None:
    """The running service's facts; None when no service runs.

    Facts of an earlier run don't count: a service that loads its models has only its number.
    """
    pid = holder(state / "ledger.sqlite3")
    if pid is None:
        return None
    starting: dict[str, Any] = {
        "pid": pid,
        "since": None,
        "device": LOADING,
        "lanes": {},
    }
    try:
        found = json.loads((state / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return starting
    return found if isinstance(found, dict) and found.get("pid") == pid else starting
