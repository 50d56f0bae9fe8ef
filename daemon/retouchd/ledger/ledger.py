"""Everything that the ledger is told: one committed, durable transaction per method."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retouchd.errors import NoSuchJob, WrongState, printable
from retouchd.job import FileStat, Place, State, is_legal
from retouchd.ledger.reader import LedgerReader
from retouchd.ledger.rows import KeptFile, NewDrop, RootRow, path_blob
from retouchd.ledger.trouble import unusable
from retouchd.namesakes import fold

_COLUMNS = frozenset(
    [
        "name",
        "source",
        "attempts",
        "crashes",
        "interrupted",
        "next_attempt_at",
        "output",
        "output_sha256",
        "output_size",
        "output_role",
        "companions",
        "earlier",
        "key",
        "duplicate_of",
        "model",
        "model_sha256",
        "settings",
        "timings",
        "notes",
        "error",
        "remedy",
        "error_file",
        "completed_at",
    ]
)
_PATHS = frozenset({"name", "output", "error_file"})
_JSON = frozenset({"settings", "timings", "notes", "companions", "earlier"})


class Ledger(LedgerReader):
    """Read and write access; created and migrated when needed.

    Several threads may write: they take turns. Every method returns after the commit is durable
    (WAL, ``synchronous=FULL``). ``now`` is always seconds since the epoch.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            path.touch(mode=0o640)
        except OSError as error:
            fix = "Give the folder to the service user, or set `state` elsewhere."
            raise unusable(path, error, fix) from None
        super().__init__(path)

    def _bring_up_to_date(self, version: int) -> None:
        verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise self._unusable(f"it is damaged ({verdict})")
        self._migrate(version)
        # SQLite says nothing when it opens a file that it may only read.
        self._db.executescript("BEGIN IMMEDIATE; UPDATE ledger SET id = id; ROLLBACK;")
        self.id: str = self._db.execute("SELECT id FROM ledger").fetchone()[0]

    def _migrate(self, version: int) -> None:
        for number, script in enumerate(self._statements.migrations, start=1):
            if number <= version:
                continue
            # One script is one transaction: a cut in the middle leaves the old version.
            first = (
                f"INSERT INTO ledger VALUES ('{uuid.uuid4().hex[:8]}', unixepoch());"
                "INSERT INTO clock VALUES (0);"
                if number == 1
                else ""
            )
            try:
                self._db.executescript(
                    f"BEGIN IMMEDIATE;{script}{first}PRAGMA user_version = {number};COMMIT;"
                )
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                # Another process may have done it in this very moment.
                if self._version() < number:
                    raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Several writes as one: all of them or, after an exception, none."""
        with self.lock:
            inside = self._db.in_transaction
            if inside:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # Also after a COMMIT that failed: it can leave the transaction open, and the next
                # one would then believe itself to be inside it.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _run(self, statement: str, /, **values: object) -> sqlite3.Cursor:
        with self.transaction() as db:
            return db.execute(self._statements.named[statement], values)

    def add(
        self,
        *,
        lane: str,
        task: str,
        source: str,
        state: State,
        drops: Sequence[NewDrop],
        now: float,
        why: str | None = None,
    ) -> int:
        """Record a job; its first drop names it. Returns its number."""
        with self.transaction():
            name = path_blob(drops[0].path)
            job = self._run(
                "add_job", lane=lane, task=task, state=state, source=source, name=name, now=now
            ).lastrowid
            assert job is not None
            for drop in drops:
                self.add_drop(job, drop)
            self._run("add_change", job=job, now=now, before=None, after=state, why=why)
        return job

    def add_drop(self, job: int, drop: NewDrop) -> None:
        """Attach one more drop to a job."""
        stat = drop.stat
        self._run(
            "add_drop",
            job=job,
            role=drop.role,
            path=path_blob(drop.path),
            folded=printable(fold(drop.path)),
            size=stat and stat.size,
            mtime_ns=stat and stat.mtime_ns,
            inode=stat and stat.inode,
            decoded=drop.decoded,
        )

    def remove_drop(self, drop: int) -> None:
        """Detach a drop whose file is gone."""
        self._run("drop_drop", drop=drop)

    def change(
        self, job: int, after: State, *, now: float, why: str | None = None, **columns: Any
    ) -> None:
        """Bring a job into a state and set columns with it.

        Raises NoSuchJob, and WrongState where ``job.LEGAL`` forbids the step.
        """
        with self.transaction():
            row = self._one("state_of", job=job)
            if row is None:
                raise NoSuchJob(job=job)
            before = State(row[0])
            if not is_legal(before, after):
                raise WrongState(job=job, state=before, wish=after)
            self._set(job, now, state=after, **columns)
            self._run("add_change", job=job, now=now, before=before, after=after, why=why)

    def note(self, job: int, *, now: float, **columns: Any) -> None:
        """Set columns of a job without a change of state."""
        self._set(job, now, **columns)

    def _set(self, job: int, now: float, **columns: Any) -> None:
        unknown = set(columns) - _COLUMNS - {"state"}
        if unknown:
            raise ValueError(f"not columns of jobs: {sorted(unknown)}")
        values = {name: _stored(name, value) for name, value in columns.items()}
        assignments = ", ".join(f"{name} = :{name}" for name in [*values, "updated_at"])
        with self.transaction() as db:
            db.execute(
                f"UPDATE jobs SET {assignments} WHERE id = :job",
                {**values, "updated_at": now, "job": job},
            )

    def set_stat(self, drop: int, stat: FileStat, decoded: int) -> None:
        """Record that a drop has settled in this version."""
        self._run(
            "set_stat",
            drop=drop,
            size=stat.size,
            mtime_ns=stat.mtime_ns,
            inode=stat.inode,
            decoded=decoded,
        )

    def unsettle(self, job: int) -> None:
        """Forget the versions of a job's drops, so that they settle anew."""
        self._run("unsettle", job=job)

    def set_sha256(self, hashes: Mapping[int, str]) -> None:
        """Record the content hashes of drops, by drop number."""
        with self.transaction():
            for drop, sha256 in hashes.items():
                self._run("set_sha256", drop=drop, sha256=sha256)

    def intend_move(self, drop: int, place: Place, where: str) -> None:
        """Record where an original is about to be moved, before it is moved."""
        self._run("intend_move", drop=drop, place=place, where=path_blob(where))

    def moved(self, drop: int, place: Place, where: str) -> None:
        """Record where an original lies now."""
        self._run("moved", drop=drop, place=place, where=path_blob(where))

    def keep(
        self, *, job: int, lane: str, role: str, path: str, stat: FileStat, completed_at: float
    ) -> None:
        """Hand a file over to retention.

        It counts as completed no earlier than the newest time that the lane's retention went by:
        what is finished while the clock stands behind must not look old when it is right again.
        """
        self._run(
            "keep",
            job=job,
            lane=lane,
            role=role,
            path=path_blob(path),
            size=stat.size,
            mtime_ns=stat.mtime_ns,
            completed_at=completed_at,
        )

    def forget_kept(self, file: KeptFile) -> None:
        """Record that retention deleted a file (or found it gone or replaced)."""
        place = {"archive": Place.ARCHIVE, "failed": Place.FAILED}.get(file.role)
        with self.transaction():
            self._run("forget_kept", id=file.id)
            if place:
                self._run("original_gone", job=file.job, place=place, where=path_blob(file.path))

    def release_kept(self, lane: str, role: str, path: str) -> None:
        """Take a file back from retention, because its job needs it again."""
        self._run("forget_kept_path", lane=lane, role=role, path=path_blob(path))

    def set_root(self, root: RootRow) -> None:
        """Remember a lane's folder by its marker."""
        self._run(
            "set_root",
            lane=root.lane,
            role=root.role,
            path=path_blob(root.path),
            marker=root.marker,
        )

    def forget_roots(self, lane: str, folders: Iterable[str] = ()) -> None:
        """Forget a lane's folders, so that they are taken as they are.

        folders: paths that other lanes forget as well, because they share them.
        """
        with self.transaction():
            self._run("forget_roots", lane=lane)
            for folder in folders:
                self._run("forget_roots_at", path=path_blob(folder))

    def set_clock(self, lane: str, now: float, *, believed: bool = False) -> None:
        """Remember the time that a lane's retention went by, and the newest so far.

        believed: a person says that this is the time, so no later one can have been right.
        """
        with self.transaction():
            self._run("set_clock", lane=lane, now=now)
            if believed:
                self._run("believe_clock", lane=lane, now=now)
                self._run("nothing_from_the_future", lane=lane, now=now)


def _stored(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _PATHS:
        return path_blob(value)
    return json.dumps(value, sort_keys=True) if name in _JSON else value
