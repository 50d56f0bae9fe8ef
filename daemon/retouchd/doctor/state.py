"""Whether the ledger can be used: its folder, its file, its clock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from retouchd.config import Config
from retouchd.config.units import show_duration
from retouchd.doctor.finding import Finding, fine, from_error, problem, warning
from retouchd.doctor.folders import judge_missing, judge_space
from retouchd.doctor.looks import Identity, Look
from retouchd.errors import DiskFull, LedgerNotYet, LedgerStuck, LedgerUnusable
from retouchd.ledger import LedgerReader
from retouchd.ledger.lock import holder
from retouchd.ledger.trouble import files_of, give_to_service
from retouchd.live import read_live
from retouchd.mounts import Mount
from retouchd.origin import difference

_LEAST = 1 << 30
_BACK = 300.0  # clocks of a machine that synchronises stray by less


def judge_state_folder(folder: Path, look: Look, mount: Mount | None) -> Finding:
    """Whether the ledger's folder is on a local disk and can be written."""
    check = "ledger folder"
    if mount and mount.remote:
        return problem(
            check,
            f"{folder} is on a network file system ({mount.kind}), where SQLite's locks and syncs "
            "can't be trusted",
            "Set `state` to a folder on a local disk, like /var/lib/retouchd.",
        )
    if look.error or look.trouble:
        error = look.error or look.trouble
        assert error is not None
        if isinstance(error, DiskFull):
            return from_error(check, LedgerStuck(path=folder, cause=error.facts["cause"]))
        return from_error(check, error)
    if not look.exists:
        return judge_missing(check, str(folder), look)
    return judge_space(check, str(folder), look.free, _LEAST)


def open_reader(
    config: Config, identity: Identity | None = None
) -> tuple[LedgerReader | None, list[Finding]]:
    """The ledger if it can be asked questions, and what is to be said of its file.

    identity: whose rights count, None for our own.
    """
    check, path = "ledger", config.state / "ledger.sqlite3"
    # Before it is opened, which makes files of our own.
    closed = judge_rights(path, identity)
    try:
        reader = LedgerReader(path)
    except LedgerNotYet:
        return None, [fine(check, f"{path} is made ready at the next start")]
    except LedgerUnusable as error:
        cause = str(error.facts.get("cause", ""))
        if any(word in cause for word in _BROKEN):
            return None, [problem(check, f"{path} is damaged: {cause}", _DAMAGED)]
        return None, [from_error(check, error)]
    except OSError as error:
        cause = error.strerror or str(error)
        return None, [problem(check, f"{path} can't be read ({cause})", _RIGHTS)]
    damage = reader.damage()
    if damage:
        reader.close()
        return None, [problem(check, f"{path} is damaged: {'; '.join(damage)}", _DAMAGED)]
    live = read_live(config.state)
    told = [judge_service(path), *judge_file(live), *judge_paused(live)]
    return reader, [closed or fine(check, f"{path} is whole"), *told]


def judge_rights(ledger: Path, identity: Identity | None) -> Finding | None:
    """The first of the ledger's files that may not be written. identity: as above."""
    for file in files_of(ledger):
        if not _may_write(file, identity):
            return problem("ledger", f"{file} may not be written", give_to_service(ledger))
    return None


def _may_write(file: Path, identity: Identity | None) -> bool:
    try:
        if identity is None:
            return os.access(file, os.R_OK | os.W_OK, effective_ids=True)
        found, (user, group, groups) = file.stat(), identity
    except OSError:
        return True  # Why it can't even be looked at is told when it is opened.
    if user == 0:
        return True
    shift = 6 if found.st_uid == user else 3 if found.st_gid in (group, *groups) else 0
    return found.st_mode >> shift & 0o6 == 0o6


_RIGHTS = "Run doctor as the service user: sudo -u retouchd retouchd doctor."
_STATUS = "`retouchd status` and the service's log tell more."
_BROKEN = ("malformed", "not a database")
"""What SQLite calls a file so damaged that it can't even be opened."""
_DAMAGED = (
    "Stop the service and move the file and its -wal away: finished files stay where they are, and "
    "what lies in the inbox is done again. Check the disk before you trust it again."
)


def judge_service(ledger: Path) -> Finding:
    """Whether a service works with the ledger now."""
    pid = holder(ledger)
    return fine("service", f"it runs as process {pid}" if pid else "it does not run now")


def judge_file(live: Mapping[str, Any] | None) -> list[Finding]:
    """Whether the running service works with what its file says; live: as below."""
    differs = difference((live or {}).get("origin") or {})
    return [warning("configuration", differs.cause, differs.remedy)] if differs else []


def judge_paused(live: Mapping[str, Any] | None) -> list[Finding]:
    """What keeps the running service from working, which may be visible to it alone.

    live: the service's own facts, None where none runs.
    """
    paused = [
        problem(f"lane {name}, service", facts["paused"], facts.get("remedy") or _STATUS)
        for name, facts in (live or {}).get("lanes", {}).items()
        if facts.get("paused")
    ]
    ledger = (live or {}).get("ledger") or {}
    if trouble := ledger.get("trouble"):
        return [problem("ledger, service", trouble, ledger.get("remedy") or _STATUS), *paused]
    return paused


def judge_clock(newest: float, now: float) -> Finding:
    """Whether the clock went back. newest: the newest time that the ledger saw; epoch seconds."""
    if newest <= now + _BACK:
        return fine("clock", f"it stands at {_shown(now)}")
    return warning(
        "clock",
        f"it stands at {_shown(now)}, but the ledger has seen {_shown(newest)} already "
        f"({show_duration(round(newest - now))} later)",
        "Set the clock, or, if it is right, run `retouchd prune --force`; until then what is "
        "finished counts as finished at that later time.",
    )


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "minutes")
