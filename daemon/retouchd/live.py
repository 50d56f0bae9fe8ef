"""What only the running service knows, in a small file for `status` and the others to read."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

from retouchd.ledger.lock import holder
from retouchd.renaming import change_places

NAME = "live.json"
_SPARE = f"{NAME}.tmp"
_BLOCK = 4096
_TRIES = 3
LOADING = "a device still to be chosen"
"""Where a service works that still loads its models."""


def write_live(state: Path, facts: dict[str, Any]) -> None:
    """Replace the file at once, so that no reader sees half of it.

    On a full disk it has to tell just that: what was replaced stays as a spare, and is written over
    next time. Where even that fails, the old facts stay.
    """
    text, spare, told = json.dumps(facts).encode("utf-8"), state / _SPARE, state / NAME
    with contextlib.suppress(OSError):
        _write_over(spare, text)
        if not change_places(str(spare), str(told)):
            os.replace(spare, told)
            _write_over(spare, text)


def _write_over(path: Path, text: bytes) -> None:
    """Use the blocks that the file has, and let it never shrink. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        size = max(os.fstat(file).st_size, -(-len(text) // _BLOCK) * _BLOCK)
        if os.pwrite(file, text.ljust(size), 0) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(file)


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
    for _ in range(_TRIES):
        try:
            found = json.loads((state / NAME).read_text(encoding="utf-8"))
        except OSError:
            return starting
        except ValueError:
            continue  # Whoever reads slowly may hold what has become the spare meanwhile.
        return found if isinstance(found, dict) and found.get("pid") == pid else starting
    return starting
