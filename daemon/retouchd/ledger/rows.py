"""Rows of the ledger as the values that the rest of the program speaks of."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from retouchd.job import Drop, FileStat, Job, Place, Role, State


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
    stat = None
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
        drops=tuple(drops),
        **{name: row[name] for name in plain},
    )
