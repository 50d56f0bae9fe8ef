"""Everything that can be asked of the ledger."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from retouchd.errors import LedgerNotYet, LedgerUnusable, printable
from retouchd.job import Job, State
from retouchd.ledger.rows import (
    Change,
    KeptFile,
    RootRow,
    path_blob,
    to_drop,
    to_job,
    to_kept,
    to_root,
)
from retouchd.ledger.statements import load_statements
from retouchd.ledger.trouble import unusable
from retouchd.namesakes import fold

BUSY_MS = 10_000


class LedgerReader:
    """Read access to the ledger at ``path``; usable from any thread.

    Raises LedgerUnusable where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._statements = load_statements()
        if not path.exists():
            raise self._none_yet("there is none yet")
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            self._set_up()
        except BaseException as error:
            self._db.close()
            if isinstance(error, sqlite3.Error):
                raise self._unusable(error) from None
            raise

    def _set_up(self) -> None:
        """Prepare the connection and the schema; raises sqlite3.Error or LedgerUnusable."""
        self._db.row_factory = sqlite3.Row
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._version()
        if version > len(self._statements.migrations):
            raise LedgerUnusable(
                path=self.path,
                cause=f"it was written by a newer retouchd (schema {version})",
                fix="Install that version again, or a newer one.",
            )
        self._bring_up_to_date(version)

    def _bring_up_to_date(self, version: int) -> None:
        """What a reader may not do, it asks for."""
        if version < len(self._statements.migrations):
            raise self._none_yet("it was not set up by this version yet")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _none_yet(self, cause: str) -> LedgerNotYet:
        fix = "That is done by the next `retouchd run` or `retouchd once`."
        return LedgerNotYet(path=self.path, cause=cause, fix=fix)

    def _unusable(self, error: sqlite3.Error | str) -> LedgerUnusable:
        fix = (
            "Check the rights on its folder and the free space. A damaged ledger can be moved "
            "away: finished files stay where they are, and what lies in the inbox is done again."
        )
        return unusable(self.path, error, fix)

    def close(self) -> None:
        """Let go of the file."""
        with self.lock:
            self._db.close()

    def _all(self, statement: str, /, **values: object) -> list[sqlite3.Row]:
        with self.lock:
            return self._db.execute(self._statements.named[statement], values).fetchall()

    def _one(self, statement: str, /, **values: object) -> sqlite3.Row | None:
        rows = self._all(statement, **values)
        return rows[0] if rows else None

    def _jobs(self, statement: str, /, **values: object) -> list[Job]:
        """Jobs and their drops, of one moment."""
        with self.snapshot():
            rows = self._all(statement, **values)
            return [to_job(row, map(to_drop, self._all("drops_of", job=row["id"]))) for row in rows]

    def job(self, job: int) -> Job | None:
        """One job."""
        found = self._jobs("job", job=job)
        return found[0] if found else None

    def jobs(
        self, states: Collection[State], limit: int = -1, lane: str | None = None
    ) -> list[Job]:
        """Jobs in these states, newest first; of one lane, or of all; without those that gave all
        their files up to another."""
        values = {"states": json.dumps(list(states)), "limit": limit, "lane": lane}
        return self._jobs("jobs_in_states", **values)

    def running(self) -> list[Job]:
        """Jobs in the middle of an attempt."""
        return self._jobs("running")

    def under_way(self) -> list[Job]:
        """Jobs that may go on from what lies on the disk half written."""
        return self._jobs("under_way")

    def live(self, lane: str) -> list[Job]:
        """Jobs of a lane that have something to do or whose originals still lie in its inbox."""
        with self.snapshot():
            drops = defaultdict(list)
            for row in self._all("live_drops_of_lane", lane=lane):
                drops[row["job"]].append(to_drop(row))
            rows = self._all("live_jobs_of_lane", lane=lane)
            return [to_job(row, drops[row["id"]]) for row in rows]

    def named(self, lane: str, path: str) -> list[Job]:
        """Jobs for which ``path`` (relative to the inbox) was dropped, newest first."""
        return self._jobs("jobs_named", lane=lane, path=path_blob(path))

    def holding(self, lane: str, role: str, path: str) -> list[Job]:
        """Jobs whose output, companion or moved original lies at ``path`` in that folder."""
        kept = "outputs" if role == "outbox" else role
        return self._jobs("jobs_holding", lane=lane, role=role, kept=kept, path=path_blob(path))

    def photos_named(self, lane: str, name: str) -> list[str]:
        """Paths that photos were dropped under which are still there: just that one, or with an
        ending; however it is spelled."""
        folded = printable(fold(name))
        rows = self._all(
            "photos_named", lane=lane, name=folded, first=f"{folded}.", last=f"{folded}/"
        )
        return [os.fsdecode(row["path"]) for row in rows]

    def newest_of(self, lane: str, photo: str) -> Job | None:
        """The newest job of a photo of that name which is still there."""
        found = self._jobs("newest_of", lane=lane, path=path_blob(photo))
        return found[0] if found else None

    def finished(self, lane: str, since: float, until: float) -> list[Job]:
        """Jobs of a lane whose output became visible in that time, oldest first."""
        return self._jobs("finished", lane=lane, since=since, until=until)

    def due(
        self, lanes: Collection[str], busy: Collection[int], now: float, longest: float
    ) -> Job | None:
        """The next job to start, or None. ``longest``: no wait is longer (clocks jump back)."""
        return self._next("due", lanes, busy, now=now, longest=longest)

    def interrupted(
        self, lanes: Collection[str], busy: Collection[int], now: float, longest: float
    ) -> Job | None:
        """A job that is ``running`` although nobody works on it."""
        return self._next("interrupted", lanes, busy, now=now, longest=longest)

    def to_file(
        self, lanes: Collection[str], busy: Collection[int], now: float, longest: float
    ) -> Job | None:
        """A job whose originals are still to be moved."""
        return self._next("to_file", lanes, busy, now=now, longest=longest)

    def _next(
        self, name: str, lanes: Collection[str], busy: Collection[int], **values: object
    ) -> Job | None:
        found = self._jobs(
            name, lanes=json.dumps(list(lanes)), busy=json.dumps(list(busy)), **values
        )
        return found[0] if found else None

    def next_due_at(
        self, working: Collection[str], lanes: Collection[str], now: float
    ) -> float | None:
        """When the next retry is due after ``now``.

        working: lanes that may start new work. lanes: lanes that may go on with old.
        """
        values = {"working": json.dumps(list(working)), "lanes": json.dumps(list(lanes))}
        row = self._one("next_due_at", now=now, **values)
        return row[0] if row else None

    def duplicate(self, key: str, job: int) -> Job | None:
        """A finished job that did the same work."""
        found = self._jobs("duplicate", key=key, job=job)
        return found[0] if found else None

    def counts(self) -> dict[State, int]:
        """Number of jobs per state; every state is there. See ``jobs`` for who is not counted."""
        found = {State(row[0]): int(row[1]) for row in self._all("counts")}
        return {state: found.get(state, 0) for state in State}

    def counts_by_lane(self) -> Mapping[str, dict[State, int]]:
        """Number of jobs per lane and state."""
        found: dict[str, dict[State, int]] = defaultdict(lambda: dict.fromkeys(State, 0))
        for row in self._all("counts_by_lane"):
            found[row[0]][State(row[1])] = int(row[2])
        return found

    def done_since(self, since: float) -> int:
        """Number of jobs completed since then."""
        row = self._one("done_since", since=since)
        return int(row[0]) if row else 0

    def changes(self, job: int) -> list[Change]:
        """The history of a job, oldest first."""
        return [
            Change(row["at"], row["before"], row["after"], row["why"])
            for row in self._all("changes_of", job=job)
        ]

    def root(self, lane: str, role: str) -> RootRow | None:
        """A lane's folder as it was set up."""
        return to_root(self._one("root", lane=lane, role=role))

    def root_at(self, path: str) -> RootRow | None:
        """That folder as some lane has set it up."""
        return to_root(self._one("root_at", path=path_blob(path)))

    def kept(self, lane: str) -> list[KeptFile]:
        """The lane's files that retention may delete."""
        return [to_kept(row) for row in self._all("kept_files", lane=lane)]

    def kept_of(self, job: int, role: str) -> list[KeptFile]:
        """A job's files of one role that retention may delete, oldest first."""
        return [to_kept(row) for row in self._all("kept_of_job", job=job, role=role)]

    def kept_still(self, ids: Collection[int]) -> list[KeptFile]:
        """Of these files, those that retention may still delete."""
        return [to_kept(row) for row in self._all("kept_still", ids=json.dumps(list(ids)))]

    def keeper(self, lane: str, role: str, path: str) -> int | None:
        """The job whose file retention knows at ``path``, None where it knows none."""
        row = self._one("keeper", lane=lane, role=role, path=path_blob(path))
        return int(row[0]) if row else None

    def newest_clock(self) -> float:
        """The newest time that any lane's retention went by, in seconds since the epoch; or 0."""
        row = self._one("newest_clock")
        return float(row[0] or 0.0) if row else 0.0

    def clock_of(self, lane: str) -> float:
        """The time that a lane's retention went by last; the newest of all, while it has none."""
        row = self._one("clock_of", lane=lane)
        return float(row[0] or 0.0) if row else 0.0

    def newest_clock_of(self, lane: str) -> float | None:
        """The newest time that a lane's retention went by; None while it has none."""
        row = self._one("newest_clock_of", lane=lane)
        return float(row[0]) if row else None

    def damage(self) -> list[str]:
        """What SQLite's own check finds wrong with the file; empty when it is whole."""
        try:
            with self.lock:
                rows = self._db.execute("PRAGMA quick_check(5)").fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        found = [str(row[0]) for row in rows]
        return [] if found == ["ok"] else found

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several questions about one moment; inside a transaction they are part of it."""
        with self.lock:
            inside = self._db.in_transaction
            if inside:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("COMMIT")
