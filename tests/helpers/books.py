"""Whether what `status` says, what the ledger holds and what lies on the disk are the same.

The ledger is read with sqlite3 alone, the folders are walked; nothing of retouchd is asked but what
it tells everybody.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from helpers.commands import Commands
from helpers.spool import Spool
from helpers.standing import NAME

_FOLDERS = {"outputs": "outbox", "review": "review", "archive": "archive", "failed": "failed"}
STATES = (
    *("waiting", "ready", "running", "published"),
    *("done", "failed", "quarantined", "cancelled"),
)
_OPEN = {"ready", "running", "published", "failed"}
_Files = dict[tuple[str, str, str], tuple[int, str]]


class Books:
    """The accounts of one configuration. spools: every lane's folders."""

    def __init__(self, commands: Commands, state: Path, spools: Mapping[str, Spool]) -> None:
        self._commands, self._ledger, self._spools = commands, state / NAME, spools
        self._digests: dict[tuple[int, int, int], str] = {}

    def all(self, query: str) -> list[Any]:
        """Rows of the ledger."""
        with closing(sqlite3.connect(f"file:{self._ledger}?mode=ro", uri=True, timeout=20)) as db:
            return db.execute(query).fetchall()

    def states(self) -> Counter[tuple[str, str]]:
        """How many jobs of a lane are in a state, by the ledger, without those whose files all
        became another job's."""
        found = self.all(
            "SELECT lane, state, COUNT(*) FROM jobs WHERE state != 'cancelled'"
            " OR id IN (SELECT job FROM drops) GROUP BY lane, state"
        )
        return Counter({(lane, state): count for lane, state, count in found})

    def settled(self) -> bool:
        """Whether nothing is under way, so that all have to agree."""
        moving = self.all("SELECT COUNT(*) FROM drops WHERE next_place IS NOT NULL")[0][0]
        untold = self.all(
            "SELECT COUNT(*) FROM jobs WHERE state = 'quarantined' AND error_file IS NULL"
        )[0][0]
        under_way = sum(n for (_, state), n in self.states().items() if state in _OPEN)
        return not moving and not untold and not under_way

    def check(self) -> None:
        """All of it agrees, but what only ``check_listed`` looks at."""
        self._check_status()
        disk = self.disk()
        kept = self._kept()
        assert {k: v[0] for k, v in disk.items()} == kept, "the ledger's files and the disk's"
        self._check_outputs(disk)
        self._check_originals(disk)
        self._check_texts(disk)
        self._check_inboxes()
        for spool in self._spools.values():
            assert list(spool.root.rglob(".retouchd-*.tmp")) == []

    def check_listed(self) -> None:
        """Also what is told to people: the line of `status`, and `jobs`, which may be long."""
        jobs, states = self._commands.jobs(), self.states()
        assert Counter((job["lane"], job["state"]) for job in jobs) == states
        line = self._commands.retouchd("status").stdout.splitlines()[1]
        shown = {state: int(n) for n, state in re.findall(r"(\d+) ([a-z]+)", line)}
        wanted = Counter[str]()
        for (_, state), count in states.items():
            wanted[state] += count
        assert shown == wanted

    def _check_status(self) -> None:
        told, states = self._commands.status(), self.states()
        total = Counter[str]()
        for (_, state), count in states.items():
            total[state] += count
        assert told["jobs"] == {state: total[state] for state in STATES}
        for lane in told["lanes"]:
            name = lane["name"]
            assert lane["jobs"] == {state: states[name, state] for state in STATES}, name

    def disk(self) -> _Files:
        """Size and content of each file, by lane, role and path."""
        found = {}
        for lane, spool in self._spools.items():
            for role, folder in _FOLDERS.items():
                for name in spool.files(spool.root / folder):
                    found[lane, role, name] = self._look(spool.root / folder / name)
        return found

    def _look(self, path: Path) -> tuple[int, str]:
        stat = path.stat()
        key = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return stat.st_size, self._digests[key]

    def _kept(self) -> dict[tuple[str, str, str], int]:
        rows = self.all("SELECT lane, role, path, size FROM kept")
        return {(lane, role, os.fsdecode(path)): size for lane, role, path, size in rows}

    def _check_outputs(self, disk: _Files) -> None:
        """Each is one of a job that is done, which knows its bytes."""
        rows = self.all(
            "SELECT k.lane, k.role, k.path, j.state, j.output, j.output_sha256, j.companions "
            "FROM kept k JOIN jobs j ON j.id = k.job WHERE k.role IN ('outputs', 'review')"
        )
        for lane, role, path, state, output, sha256, companions in rows:
            known = {one["path"]: one["sha256"] for one in json.loads(companions)}
            known[os.fsdecode(output)] = sha256
            assert state == "done"
            assert disk[lane, role, os.fsdecode(path)][1] == known.get(os.fsdecode(path)), path

    def _check_originals(self, disk: _Files) -> None:
        rows = self.all(
            'SELECT j.lane, d.place, d."where", d.size, d.sha256 FROM drops d JOIN jobs j '
            "ON j.id = d.job WHERE d.place IN ('archive', 'failed')"
        )
        where = Counter((lane, place, os.fsdecode(path)) for lane, place, path, _, _ in rows)
        there = [
            key
            for key in disk
            if key[1] == "archive" or (key[1] == "failed" and not key[2].endswith(".error.txt"))
        ]
        assert where == Counter(there), "originals on the disk, and of the ledger"
        for lane, place, path, size, sha256 in rows:
            found = disk[lane, place, os.fsdecode(path)]
            assert found[0] == size
            assert sha256 in (None, found[1])

    def _check_texts(self, disk: _Files) -> None:
        """One text for each job in quarantine, but those that were pruned."""
        rows = self.all("SELECT lane, error_file FROM jobs WHERE state = 'quarantined'")
        texts = {key for key in disk if key[2].endswith(".error.txt")}
        named = {(lane, "failed", os.fsdecode(path)) for lane, path in rows}
        assert texts <= named
        assert len(named) == len(rows)

    def _check_inboxes(self) -> None:
        """What lies there belongs to jobs that wait or were cancelled; what waits lies there."""
        rows = self.all(
            'SELECT j.lane, j.state, d."where" FROM drops d JOIN jobs j ON j.id = d.job '
            "WHERE d.place = 'inbox'"
        )
        there = {(lane, name) for lane, s in self._spools.items() for name in s.files(s.inbox)}
        known = {(lane, os.fsdecode(path)) for lane, _, path in rows}
        waiting = {(lane, os.fsdecode(path)) for lane, state, path in rows if state == "waiting"}
        assert there <= known
        assert waiting <= there
