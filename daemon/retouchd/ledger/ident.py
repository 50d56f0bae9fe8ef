"""Which ledger it is, whatever its schema."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_PATIENCE = 1.0


def id_of(path: Path) -> str:
    """The id of the ledger at ``path``; empty where there is none yet, or none that can be read."""
    place = f"{path.absolute().as_uri()}?mode=rw"  # that makes no file
    try:
        with closing(sqlite3.connect(place, _PATIENCE, uri=True)) as db:
            row = db.execute("SELECT id FROM ledger").fetchone()
    except sqlite3.Error:
        return ""
    return str(row[0]) if row else ""
