"""Rows of the ledger as the values that the rest of the program speaks of."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from retouchd.job import Companion, Drop, FileStat, Job, Place, Role, State


@dataclass(frozen=True)
class RootRow:
    """A lane's folder as it was set up."""

    lane: str
    role: str
    path: str
    marker: str


@dataclass(frozen=True)
class Change:
    """One change of state. ``at`` is in seconds since the epoch."""

    at: float
    before: str | None
    after: str
    why: str | None


@dataclass(frozen=True)
class KeptFile:
    """A file that retention may delete. role: outputs, review, archive or failed."""

    id: int
    job: int
    lane: str
    role: str
    path: str
    size: int
    mtime_ns: int
    completed_at: float


@dataclass(frozen=True)
class NewDrop:
    """A drop about to be recorded; stat is None while it has to settle."""

    role: Role
    path: str
    stat: FileStat | None
    decoded: int = 0


def path_blob(path: str) -> bytes:
    """A path as the bytes that the disk has."""
    return os.fsencode(path)


def text_path(blob: bytes | None) -> str | None:
    """The inverse of ``path_blob``."""
    return None if blob is None else os.fsdecode(blob)


def to_drop(row: sqlite3.Row) -> Drop:
    """One row of ``drops``."""
    stat = was = None
    if row["inode"] is not None:
        was = row["mtime_ns"], row["inode"]
    if row["size"] is not None:
        stat = FileStat(row["size"], row["mtime_ns"], row["inode"])
    return Drop(
        id=row["id"],
        job=row["job"],
        role=Role(row["role"]),
        path=os.fsdecode(row["path"]),
        place=Place(row["place"]),
        where=os.fsdecode(row["where"]),
        stat=stat,
        decoded=row["decoded"],
        sha256=row["sha256"],
        next_place=Place(row["next_place"]) if row["next_place"] else None,
        next_where=text_path(row["next_where"]),
        was=was,
    )


def to_job(row: sqlite3.Row, drops: Iterable[Drop]) -> Job:
    """One row of ``jobs`` with its drops."""
    plain = [
        "id",
        "lane",
        "task",
        "source",
        "created_at",
        "updated_at",
        "attempts",
        "crashes",
        "interrupted",
        "next_attempt_at",
        "output_sha256",
        "output_size",
        "output_role",
        "key",
        "duplicate_of",
        "model",
        "model_sha256",
        "error",
        "remedy",
        "completed_at",
    ]
    return Job(
        state=State(row["state"]),
        name=os.fsdecode(row["name"]),
        output=text_path(row["output"]),
        error_file=text_path(row["error_file"]),
        settings=json.loads(row["settings"]),
        timings=json.loads(row["timings"]),
        notes=tuple(json.loads(row["notes"])),
        companions=tuple(Companion(**one) for one in json.loads(row["companions"])),
        earlier=json.loads(row["earlier"]) if row["earlier"] else None,
        drops=tuple(drops),
        **{name: row[name] for name in plain},
    )


def to_root(row: sqlite3.Row | None) -> RootRow | None:
    """One row of ``roots``."""
    if row is None:
        return None
    return RootRow(row["lane"], row["role"], os.fsdecode(row["path"]), row["marker"])


def to_kept(row: sqlite3.Row) -> KeptFile:
    """One row of ``kept``."""
    return KeptFile(**{**dict(row), "path": os.fsdecode(row["path"])})
