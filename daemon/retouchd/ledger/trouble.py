"""What it means that the ledger's folder or file can't be used."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from retouchd.errors import LedgerStuck, LedgerUnusable

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
_PASSING_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
_PRIMARY = 0xFF
"""Extended result codes of SQLite have the plain one in their lowest byte."""


def unusable(path: Path, error: OSError | sqlite3.Error | str, fix: str) -> LedgerUnusable:
    """The error to raise: LedgerStuck where trying again later may help. fix: if it won't."""
    cause = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    if _passes(error):
        return LedgerStuck(path=path, cause=cause)
    return LedgerUnusable(path=path, cause=cause, fix=fix)


def _passes(error: OSError | sqlite3.Error | str) -> bool:
    if isinstance(error, OSError):
        return error.errno in _PASSING
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in _PASSING_CODES
