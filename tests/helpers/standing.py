"""What a ledger says, read from outside, without changing a byte of it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

NAME = "ledger.sqlite3"
_QUERY = """
SELECT id, lane, state, name, output, output_role, output_sha256,
  EXISTS (SELECT 1 FROM drops WHERE job = jobs.id AND next_place IS NOT NULL)
FROM jobs ORDER BY id
"""


@dataclass(frozen=True)
class Row:
    """One job. moving: originals are still to be moved."""

    id: int
    lane: str
    state: str
    name: str
    output: str | None
    role: str
    sha256: str | None
    moving: bool

    @property
    def stands(self) -> str:
        """Where the job stands in the crash order."""
        if self.state == "running" and self.sha256:
            return "running, named"
        if self.state == "quarantined" and self.moving:
            return "quarantined, to be moved"
        return self.state


def rows(state: Path) -> list[Row]:
    """The jobs of a ledger in use."""
    if not (state / NAME).exists():
        return []
    with closing(sqlite3.connect(f"file:{state / NAME}?mode=ro", uri=True, timeout=20)) as db:
        return _read(db)


def copied_rows(state: Path) -> list[Row]:
    """The jobs of a ledger after a crash, from a copy: the recovery is left to the service. Empty
    where there is no ledger yet."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (NAME, f"{NAME}-wal"):
            if (state / name).exists():
                shutil.copy(state / name, folder)
        if not (Path(folder) / NAME).exists() or not (Path(folder) / NAME).stat().st_size:
            return []
        with closing(sqlite3.connect(Path(folder) / NAME)) as db:
            return _read(db)


def _read(db: sqlite3.Connection) -> list[Row]:
    # Tables come one migration after the other.
    if "output_role" not in {row[1] for row in db.execute("PRAGMA table_info(jobs)")}:
        return []
    return [_row(values) for values in db.execute(_QUERY)]


def _row(values: tuple[int, str, str, bytes, bytes | None, str, str | None, int]) -> Row:
    number, lane, state, name, output, role, sha256, moving = values
    shown = None if output is None else os.fsdecode(output)
    return Row(number, lane, state, os.fsdecode(name), shown, role, sha256, bool(moving))


def pruned_at(state: Path) -> float:
    """The time by which retention went last in any lane, epoch seconds; 0 before the first."""
    with closing(sqlite3.connect(f"file:{state / NAME}?mode=ro", uri=True, timeout=20)) as db:
        return float(db.execute("SELECT MAX(last) FROM clocks").fetchone()[0] or 0.0)


def standing(state: Path) -> Counter[str]:
    """How many jobs stand where after a crash."""
    found = Counter(row.stands for row in copied_rows(state))
    return found or Counter({"no job yet": 1})
