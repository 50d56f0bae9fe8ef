"""What it means that the ledger's folder or file can't be used."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path

from retouchd.errors import LedgerStuck, LedgerUnusable

LOOK = "`retouchd doctor` says whether the ledger is damaged, and what to do then."
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE}
_PASSING_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
_MUTE_CODES = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
"""Behind these SQLite hides what the system said."""
_PRIMARY = 0xFF
"""Extended result codes of SQLite have the plain one in their lowest byte."""
_FILES = ("", "-wal", "-shm", "-journal")


def unusable(path: Path, error: OSError | sqlite3.Error | str, fix: str) -> LedgerUnusable:
    """The error to raise: LedgerStuck where trying again later may help. fix: if it won't."""
    cause = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    if _passes(path, error):
        return LedgerStuck(path=path, cause=cause)
    if _code(error) == sqlite3.SQLITE_READONLY:
        fix = give_to_service(path)
    return LedgerUnusable(path=path, cause=cause, fix=fix)


def told(error: Exception) -> LedgerUnusable | None:
    """What SQLite's error means to a command; None for what is none of SQLite's."""
    if not isinstance(error, sqlite3.Error):
        return None
    path, cause = "in the state folder", str(error)
    if _code(error) in _PASSING_CODES | _MUTE_CODES:
        return LedgerStuck(path=path, cause=cause)
    return LedgerUnusable(path=path, cause=cause, fix=LOOK)


def give_to_service(path: Path) -> str:
    """What to do where the ledger at ``path`` may not be written."""
    return (
        "Give it to the user that the service runs as: "
        f"sudo chown retouchd: {path}*; sudo chmod u+rw {path}*"
    )


def files_of(path: Path) -> list[Path]:
    """The files of the ledger at ``path`` that are there."""
    found = [Path(f"{path}{ending}") for ending in _FILES]
    return [file for file in found if os.path.lexists(file)]


def _passes(path: Path, error: OSError | sqlite3.Error | str) -> bool:
    if isinstance(error, OSError):
        return error.errno in _PASSING
    code = _code(error)
    if code in _MUTE_CODES:
        return not _forbidden(path)
    return code in _PASSING_CODES


def _code(error: object) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY


def _forbidden(path: Path) -> bool:
    """Whether a person has to mend something: a right that lacks, or another thing in its place.
    If not, it was the disk."""
    try:
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return False
        return not os.access(path.parent, os.W_OK | os.X_OK) or any(
            not stat.S_ISREG(os.stat(file).st_mode) or not os.access(file, os.R_OK | os.W_OK)
            for file in files_of(path)
        )
    except OSError as error:
        return error.errno not in _PASSING
