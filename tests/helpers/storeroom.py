"""Lanes full of finished work, which can be had again and again as they were."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.campaign import subject
from helpers.pictures import texture
from helpers.spool import Lanes, Spool
from helpers.studio import clutter, file

CLASSES = {"outputs": "outputs", "review": "outputs", "archive": "archive", "failed": "failed"}
"""Which setting of a lane speaks of which role."""
FOLDERS = {"outputs": "outbox", "review": "review", "archive": "archive", "failed": "failed"}
_QUERY = "SELECT id, job, lane, role, path, completed_at FROM kept ORDER BY id"


@dataclass(frozen=True)
class Filed:
    """A file that the ledger holds for retention. at: when it was completed, epoch seconds."""

    id: int
    job: int
    lane: str
    role: str
    path: str
    at: float


class Storeroom:
    """Three lanes, of which two share their archive and outbox: repaired photos, cut-outs in three
    files, others in review, failures with their texts, one of them about to be tried again, and
    photos that wait. tmpfs: whether the lanes lie on a small disk of their own."""

    def __init__(self, folder: Path) -> None:
        self.top, self._saved = folder / "lanes", folder / "saved"
        self.tmpfs = _mounted(self.top)
        self.state = folder / "state"
        self.config = folder / "config"
        self.lanes = Lanes(self.config, state=str(self.state))
        shared = {role: str(self.top / "shared" / role) for role in ("outbox", "archive")}
        self.folders: dict[str, dict[str, Any]] = {
            "prints": {"root": str(self.top / "prints"), "model": "flat"},
            "album": {"root": str(self.top / "album"), "model": "flat", **shared},
            "cuts": {
                "root": str(self.top / "cuts"),
                "task": "matte",
                "matte": {"output": "all"},
                **shared,
            },
        }
        self._fill({name: self.lanes.lane(name, **how) for name, how in self.folders.items()})
        for part in (self.top, self.state):
            _copy(part, self._saved / part.name)

    def _fill(self, spools: dict[str, Spool]) -> None:
        spools = {name: Spool(self.top / name, self.lanes.where) for name in spools}
        for name, pairs in (("prints", 7), ("album", 2)):
            for number in range(pairs):
                folder = "" if number % 2 else "a/b/"
                spools[name].drop_pair(f"{folder}photo{number}", seed=number)
            spools[name].drop("bad/none.png", b"this is no picture")
        spools["prints"].drop_pair("bad/again")
        spools["prints"].drop("bad/again.png", b"this neither")
        photo, mask = subject(3)
        spools["cuts"].drop("cut.png", photo)
        spools["cuts"].drop("cut_mask.png", mask)
        spools["cuts"].drop("doubt.png", file(clutter(1)))
        done = self.lanes.retouchd("once", fast=True, timeout=600)
        assert done.returncode == 3, done.stderr
        (self.again,) = [job["id"] for job in self.lanes.jobs() if job["name"] == "bad/again.png"]
        assert self.lanes.retouchd("retry", str(self.again)).returncode == 0
        spools["prints"].drop("waits.png", texture(50))
        os.utime(spools["prints"].inbox / "waits.png", (1, 1))

    def anew(self) -> None:
        """Have everything as it was."""
        for part in (self.top, self.state):
            for entry in part.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            _copy(self._saved / part.name, part)

    def rules(self, lane: str, rules: dict[str, Any]) -> None:
        """Give a lane its retention."""
        self.lanes.lanes[lane] = {"name": lane, **self.folders[lane], "retention": rules}
        if lane == "cuts":
            self.lanes.lanes[lane]["model"] = "trimap"
        self.lanes.write()

    def root(self, lane: str, role: str) -> Path:
        """The folder of a lane's role."""
        how, name = self.folders[lane], FOLDERS[role]
        return Path(how.get(name, f"{how['root']}/{name}"))

    def place(self, filed: Filed) -> Path:
        return self.root(filed.lane, filed.role) / filed.path

    @contextmanager
    def ledger(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.state / "ledger.sqlite3", timeout=20)) as db, db:
            yield db

    def filed(self) -> list[Filed]:
        """What the ledger holds for retention, in the order in which it was handed over."""
        with self.ledger() as db:
            rows = db.execute(_QUERY).fetchall()
        return [
            Filed(number, job, lane, role, os.fsdecode(path), at)
            for number, job, lane, role, path, at in rows
        ]

    def let_be(self, filed: Filed, at: float) -> None:
        """Let a file have been completed at another time."""
        with self.ledger() as db:
            db.execute("UPDATE kept SET completed_at = ? WHERE id = ?", (at, filed.id))

    def pruned_at(self, at: float) -> None:
        """Let retention have gone by this time last."""
        with self.ledger() as db:
            db.execute("DELETE FROM clocks")
            values = [(lane, at, at) for lane in self.folders]
            db.executemany("INSERT INTO clocks (lane, newest, last) VALUES (?, ?, ?)", values)

    def free(self) -> int:
        """Bytes that are free where the lanes lie."""
        found = os.statvfs(self.top)
        return found.f_bavail * found.f_frsize

    def close(self) -> None:
        if self.tmpfs:
            subprocess.run(["umount", "-l", str(self.top)], check=False, timeout=30)


def _mounted(folder: Path) -> bool:
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        return False
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    return not subprocess.run(mount, capture_output=True, check=False, timeout=30).returncode


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
