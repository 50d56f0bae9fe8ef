"""The ledger: what it was told survives, nothing illegal is told, and damage is named."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from retouchd.errors import LedgerHeld, LedgerUnusable, NoSuchJob, WrongState
from retouchd.job import LEGAL, FileStat, Place, Role, State
from retouchd.ledger import InstanceLock, KeptFile, Ledger, LedgerReader, NewDrop, RootRow
from retouchd.ledger.lock import holder
from retouchd.ledger.statements import load_statements

STAT = FileStat(size=10, mtime_ns=1_700_000_000_123_456_789, inode=2**40)
LONGEST = 1800.0
ROUTES = {
    State.WAITING: (),
    State.READY: (State.READY,),
    State.RUNNING: (State.READY, State.RUNNING),
    State.PUBLISHED: (State.READY, State.RUNNING, State.PUBLISHED),
    State.DONE: (State.READY, State.RUNNING, State.PUBLISHED, State.DONE),
    State.FAILED: (State.READY, State.RUNNING, State.FAILED),
    State.QUARANTINED: (State.QUARANTINED,),
    State.CANCELLED: (State.CANCELLED,),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path)
    yield made
    made.close()


@pytest.fixture
def reopened(path: Path, ledger: Ledger) -> Iterator[Callable[[], LedgerReader]]:
    """The ledger as another process would find it after ``kill -9``."""
    opened: list[LedgerReader] = []

    def reopen() -> LedgerReader:
        opened.append(LedgerReader(path))
        return opened[-1]

    yield reopen
    for reader in opened:
        reader.close()


def add(ledger: Ledger, name: str = "photo.png", state: State = State.WAITING, **more: Any) -> int:
    job = ledger.add(
        lane=more.pop("lane", "a"),
        task="inpaint",
        source="mask",
        state=State.WAITING,
        drops=[NewDrop(Role.IMAGE, name, STAT, 12)],
        now=more.pop("now", 100.0),
    )
    for step in ROUTES[state]:
        last = step is state
        ledger.change(job, step, now=100.0, **(more if last else {}))
    return job


def due(ledger: Ledger, name: str = "due", lanes: str = "a", busy: tuple[int, ...] = ()) -> Any:
    found = getattr(ledger, name)(list(lanes), busy, 1000.0, LONGEST)
    return found and found.id


# What was told is there.


def test_a_job_is_the_same_after_a_restart(
    ledger: Ledger, reopened: Callable[[], LedgerReader]
) -> None:
    job = add(ledger)
    ledger.add_drop(job, NewDrop(Role.MASK, "photo_mask.png", None))
    ledger.change(
        job,
        State.READY,
        now=101.0,
        why="its mask came",
        settings={"mask": {"dilate": 3}},
        notes=["a", "b"],
        output="2026/ü.png",
    )
    found = reopened().job(job)
    assert found == ledger.job(job)
    assert found is not None
    assert (found.state, found.updated_at, found.created_at) == (State.READY, 101.0, 100.0)
    assert found.settings == {"mask": {"dilate": 3}}
    assert found.notes == ("a", "b")
    assert found.output == "2026/ü.png"
    assert [(d.role, d.stat, d.decoded) for d in found.drops] == [
        (Role.IMAGE, STAT, 12),
        (Role.MASK, None, 0),
    ]


def test_paths_keep_the_bytes_of_the_disk(
    ledger: Ledger, reopened: Callable[[], LedgerReader]
) -> None:
    name = os.fsdecode(b"caf\xe9/\xff 1.png")
    job = add(ledger, name)
    [drop] = ledger.jobs([State.WAITING])[0].drops
    ledger.intend_move(drop.id, Place.FAILED, name)
    ledger.change(job, State.READY, now=1.0, output=name)
    found = reopened().job(job)
    assert found is not None
    assert found.name == found.output == found.drops[0].path == found.drops[0].next_where == name
    assert [j.id for j in ledger.named("a", name)] == [job]


def test_every_change_is_remembered_with_its_reason(ledger: Ledger) -> None:
    job = add(ledger, now=1.0)
    ledger.change(job, State.READY, now=2.0)
    ledger.change(job, State.QUARANTINED, now=3.0, why="it is broken")
    assert [(c.at, c.before, c.after, c.why) for c in ledger.changes(job)] == [
        (1.0, None, "waiting", None),
        (2.0, "waiting", "ready", None),
        (3.0, "ready", "quarantined", "it is broken"),
    ]


@pytest.mark.parametrize(("before", "after"), [*itertools.product(State, State)])
def test_only_legal_changes_are_taken(ledger: Ledger, before: State, after: State) -> None:
    job = add(ledger, state=before)
    if after in LEGAL[before]:
        ledger.change(job, after, now=200.0)
        expected = after
    else:
        with pytest.raises(WrongState, match=f"Job {job} is {before}"):
            ledger.change(job, after, now=200.0, attempts=99)
        expected = before
    found = ledger.job(job)
    assert found is not None
    assert found.state is expected
    assert found.attempts == 0


def test_a_job_that_is_not_there_is_named(ledger: Ledger) -> None:
    with pytest.raises(NoSuchJob, match="no job 7"):
        ledger.change(7, State.READY, now=1.0)
    assert ledger.job(7) is None


def test_a_column_that_is_not_there_is_a_mistake(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="lane"):
        ledger.note(add(ledger), now=1.0, lane="b")


def test_a_transaction_is_all_or_nothing(
    ledger: Ledger, reopened: Callable[[], LedgerReader]
) -> None:
    def two_and_a_fall() -> None:
        with ledger.transaction():
            add(ledger)
            add(ledger)
            raise KeyError("on purpose")

    with pytest.raises(KeyError):
        two_and_a_fall()
    assert reopened().jobs(list(State)) == []
    job = add(ledger)
    assert [found.id for found in reopened().jobs(list(State))] == [job]


def test_a_commit_that_fails_takes_nothing_later_with_it(
    ledger: Ledger, reopened: Callable[[], LedgerReader]
) -> None:
    """SQLite leaves the transaction open then; what follows must not sink into it silently."""

    def broken() -> None:
        with ledger.transaction() as db:
            db.execute("PRAGMA defer_foreign_keys = ON")
            ledger.add_drop(999, NewDrop(Role.MASK, "m.png", None))

    with pytest.raises(sqlite3.IntegrityError):
        broken()
    job = add(ledger)
    assert [found.id for found in reopened().jobs(list(State))] == [job]


def test_writes_are_durable_before_a_method_returns(ledger: Ledger) -> None:
    pragma = ledger._db.execute
    assert pragma("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert pragma("PRAGMA synchronous").fetchone()[0] == 2


# What is to be done next.


def test_jobs_start_in_the_order_in_which_they_came(ledger: Ledger) -> None:
    first, second = add(ledger, state=State.READY), add(ledger, state=State.READY)
    assert due(ledger) == first
    assert due(ledger, busy=(first,)) == second
    assert due(ledger, busy=(first, second)) is None


def test_jobs_that_saw_a_crash_go_last(ledger: Ledger) -> None:
    suspect = add(ledger, state=State.READY, crashes=1)
    fresh = add(ledger, state=State.READY)
    assert due(ledger) == fresh
    assert due(ledger, busy=(fresh,)) == suspect


def test_only_the_lanes_that_work_are_asked(ledger: Ledger) -> None:
    job = add(ledger, state=State.READY, lane="b")
    assert due(ledger, lanes="a") is None
    assert due(ledger, lanes="") is None
    assert due(ledger, lanes="ab") == job


def test_a_retry_waits_for_its_time_but_not_for_a_clock_that_jumped_back(ledger: Ledger) -> None:
    job = add(ledger, state=State.FAILED, next_attempt_at=1001.0)
    assert due(ledger) is None
    ledger.note(job, now=1.0, next_attempt_at=1000.0)
    assert due(ledger) == job
    ledger.note(job, now=1.0, next_attempt_at=1000.0 + LONGEST + 1)
    assert due(ledger) == job


@pytest.mark.parametrize("state", State)
def test_only_ready_and_failed_jobs_are_due(ledger: Ledger, state: State) -> None:
    job = add(ledger, state=state, next_attempt_at=1.0)
    assert due(ledger) == (job if state in (State.READY, State.FAILED) else None)


@pytest.mark.parametrize("state", State)
def test_a_job_that_runs_without_a_worker_was_interrupted(ledger: Ledger, state: State) -> None:
    job = add(ledger, state=state)
    assert due(ledger, "interrupted") == (job if state is State.RUNNING else None)
    assert due(ledger, "interrupted", busy=(job,)) is None
    assert [found.id for found in ledger.running()] == ([job] if state is State.RUNNING else [])


def test_an_interrupted_job_waits_where_its_next_look_is_not_due(ledger: Ledger) -> None:
    job = add(ledger, state=State.RUNNING, next_attempt_at=1005.0)
    assert due(ledger, "interrupted") is None
    ledger.note(job, now=1.0, next_attempt_at=None)
    assert due(ledger, "interrupted") == job


def test_published_jobs_and_quarantined_ones_without_a_text_are_to_be_filed(
    ledger: Ledger,
) -> None:
    published = add(ledger, state=State.PUBLISHED)
    assert due(ledger, "to_file") == published
    ledger.change(published, State.DONE, now=1.0)
    assert due(ledger, "to_file") is None
    aside = add(ledger, state=State.QUARANTINED)
    assert due(ledger, "to_file") == aside
    ledger.note(aside, now=1.0, error_file="x.error.txt")
    assert due(ledger, "to_file") is None
    job = ledger.job(aside)
    assert job is not None
    ledger.intend_move(job.drops[0].id, Place.FAILED, "2026/photo.png")
    assert due(ledger, "to_file") == aside
    ledger.moved(job.drops[0].id, Place.FAILED, "2026/photo.png")
    assert due(ledger, "to_file") is None


def test_what_jobs_go_on_from_is_kept_until_they_have(ledger: Ledger) -> None:
    """Half-written outputs and texts, and half-written copies of originals whatever their job's
    state is."""
    jobs = {state: add(ledger, f"{state}.png", state) for state in State}
    going = [jobs[State.RUNNING], jobs[State.PUBLISHED]]
    aside = ledger.job(jobs[State.QUARANTINED])
    assert aside is not None
    assert [job.id for job in ledger.under_way()] == sorted([*going, aside.id])
    ledger.note(aside.id, now=1.0, error_file="x.error.txt")
    assert [job.id for job in ledger.under_way()] == sorted(going)
    ledger.intend_move(aside.drops[0].id, Place.FAILED, "2026/p.png")
    assert [job.id for job in ledger.under_way()] == sorted([*going, aside.id])


def test_what_was_finished_in_a_time_is_known_by_lane_and_oldest_first(ledger: Ledger) -> None:
    """Whatever its originals still wait for: its output can be seen."""
    late = add(ledger, "1.png", State.DONE, completed_at=19.9)
    early = add(ledger, "2.png", State.PUBLISHED, completed_at=10.0)
    add(ledger, "3.png", State.DONE, completed_at=9.9)
    add(ledger, "4.png", State.DONE, completed_at=20.0)
    add(ledger, "5.png", State.DONE, completed_at=15.0, lane="b")
    add(ledger, "6.png", State.FAILED, completed_at=15.0)
    assert [job.id for job in ledger.finished("a", 10.0, 20.0)] == [early, late]


def test_the_earliest_retry_is_known(ledger: Ledger) -> None:
    assert ledger.next_due_at(["a"], ["a"], 0.0) is None
    add(ledger, state=State.FAILED, next_attempt_at=50.0)
    add(ledger, state=State.FAILED, next_attempt_at=40.0)
    add(ledger, state=State.CANCELLED, next_attempt_at=1.0)
    add(ledger, lane="b", state=State.FAILED, next_attempt_at=30.0)
    assert ledger.next_due_at(["a"], ["a"], 0.0) == 40.0
    assert ledger.next_due_at(["a"], ["a"], 40.0) == 50.0
    assert ledger.next_due_at([], ["a"], 0.0) is None


def test_a_step_that_waits_is_due_where_its_lane_may_go_on(ledger: Ledger) -> None:
    add(ledger, state=State.RUNNING, next_attempt_at=20.0)
    assert ledger.next_due_at([], ["a"], 0.0) == 20.0
    assert ledger.next_due_at(["a"], [], 0.0) is None


# What is asked about lanes, twins and files.


def test_live_is_all_that_still_lies_in_the_inbox(ledger: Ledger) -> None:
    """Also a cancelled job whose photo lies there: it must not be taken for a new drop."""
    waiting, cancelled = add(ledger), add(ledger, state=State.CANCELLED)
    done = add(ledger, state=State.DONE)
    add(ledger, lane="b")
    job = ledger.job(done)
    assert job is not None
    ledger.moved(job.drops[0].id, Place.ARCHIVE, "2026/photo.png")
    live = {job.id: len(job.drops) for job in ledger.live("a")}
    assert live == {waiting: 1, cancelled: 1}


def test_a_shared_mask_keeps_no_finished_job_alive(ledger: Ledger) -> None:
    done = add(ledger, state=State.DONE)
    ledger.add_drop(done, NewDrop(Role.SHARED_MASK, "_mask.png", STAT))
    job = ledger.job(done)
    assert job is not None
    ledger.moved(job.drops[0].id, Place.ARCHIVE, "2026/photo.png")
    assert ledger.live("a") == []


@pytest.mark.parametrize(
    "statement",
    [
        "live_jobs_of_lane",
        "live_drops_of_lane",
        "done_since",
        "due",
        "interrupted",
        "to_file",
        "next_due_at",
        "under_way",
        "keeper",
    ],
)
def test_what_is_asked_at_every_scan_reads_no_whole_table(ledger: Ledger, statement: str) -> None:
    """A watch folder runs for years; the work of a scan must not grow with what is done."""
    with ledger.transaction() as db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
            "INSERT INTO jobs (lane, task, state, source, name, created_at, updated_at)"
            " SELECT 'a', 'inpaint', 'done', 'mask', x'61', 1, 1 FROM n"
        )
        db.execute(
            'INSERT INTO drops (job, role, path, place, "where")'
            " SELECT id, 'image', x'61', 'archive', x'61' FROM jobs"
        )
    values = {"lane": "a", "since": 1.0, "now": 1.0, "longest": 1.0, "lanes": "[]", "busy": "[]"}
    values |= {"working": "[]", "role": "archive", "path": b"a"}
    plan = ledger._db.execute(
        "EXPLAIN QUERY PLAN " + ledger._statements.named[statement], values
    ).fetchall()
    steps = [row["detail"] for row in plan]
    assert not [s for s in steps if s.startswith("SCAN") and "INDEX" not in s and "json" not in s]


def test_a_twin_is_a_finished_job_with_the_same_key(ledger: Ledger) -> None:
    done = add(ledger, state=State.DONE, key="k")
    again = add(ledger, state=State.READY, key="k")
    twin = ledger.duplicate("k", again)
    assert twin is not None
    assert twin.id == done
    assert ledger.duplicate("k", done) is None


def test_a_file_in_outbox_or_archive_leads_back_to_its_job(ledger: Ledger) -> None:
    job = add(ledger, state=State.DONE, output="2026/photo.png")
    found = ledger.job(job)
    assert found is not None
    ledger.moved(found.drops[0].id, Place.ARCHIVE, "2026/original.png")
    assert [j.id for j in ledger.holding("a", "outbox", "2026/photo.png")] == [job]
    assert [j.id for j in ledger.holding("a", "archive", "2026/original.png")] == [job]
    assert ledger.holding("b", "outbox", "2026/photo.png") == []
    assert ledger.holding("a", "failed", "2026/original.png") == []


def test_counts_name_every_state(ledger: Ledger) -> None:
    add(ledger, state=State.READY)
    add(ledger, state=State.READY, lane="b")
    assert ledger.counts() == {**dict.fromkeys(State, 0), State.READY: 2}
    by_lane = ledger.counts_by_lane()
    assert by_lane["b"] == {**dict.fromkeys(State, 0), State.READY: 1}
    assert by_lane["never heard of"] == dict.fromkeys(State, 0)


def test_roots_and_the_clock_are_remembered(ledger: Ledger) -> None:
    assert ledger.root("a", "inbox") is None
    row = RootRow("a", "inbox", os.fsdecode(b"/srv/\xff"), "m")
    ledger.set_root(row)
    assert ledger.root("a", "inbox") == row
    ledger.forget_roots("a")
    assert ledger.root("a", "inbox") is None
    assert ledger.newest_clock() == ledger.clock_of("a") == 0
    ledger.set_clock("a", 50.0)
    ledger.set_clock("a", 40.0)
    assert (ledger.newest_clock(), ledger.clock_of("a")) == (50.0, 40.0)


def test_a_folder_is_known_whichever_lane_has_set_it_up(ledger: Ledger) -> None:
    assert ledger.root_at("/srv/outbox") is None
    row = RootRow("a", "outbox", "/srv/outbox", "m")
    ledger.set_root(row)
    assert ledger.root_at("/srv/outbox") == row
    assert ledger.root_at("/srv/outbox/") is None


def test_every_lane_has_its_own_clock_and_the_others_until_then(ledger: Ledger) -> None:
    ledger.set_clock("a", 50.0)
    assert ledger.clock_of("b") == 50.0
    ledger.set_clock("b", 90.0)
    assert (ledger.clock_of("a"), ledger.clock_of("b"), ledger.newest_clock()) == (50.0, 90.0, 90.0)


def test_a_folder_that_lanes_share_is_forgotten_by_all_of_them(ledger: Ledger) -> None:
    for lane in ("a", "b"):
        ledger.set_root(RootRow(lane, "outbox", "/srv/outbox", "m"))
        ledger.set_root(RootRow(lane, "inbox", f"/srv/{lane}", lane))
    ledger.forget_roots("a", ["/srv/a", "/srv/outbox"])
    assert ledger.root("a", "inbox") is ledger.root("b", "outbox") is None
    assert ledger.root("b", "inbox") is not None


def keep(ledger: Ledger, job: int, role: str = "archive", path: str = "2026/p.png") -> KeptFile:
    ledger.keep(job=job, lane="a", role=role, path=path, stat=STAT, completed_at=5.0)
    return ledger.kept("a")[-1]


def test_retention_gets_the_files_of_finished_jobs_only(ledger: Ledger) -> None:
    keep(ledger, add(ledger, state=State.DONE))
    ledger.keep(
        job=add(ledger, state=State.READY),
        lane="a",
        role="failed",
        path="tried/again.png",
        stat=STAT,
        completed_at=5.0,
    )
    assert [(file.role, file.path) for file in ledger.kept("a")] == [("archive", "2026/p.png")]


def test_a_kept_file_is_known_by_its_place(ledger: Ledger) -> None:
    job = add(ledger, state=State.DONE)
    file = keep(ledger, job)
    assert ledger.keeper("a", "archive", "2026/p.png") == job
    assert ledger.keeper("a", "failed", "2026/p.png") is None
    assert ledger.keeper("b", "archive", "2026/p.png") is None
    assert ledger.kept_still([file.id, file.id + 1]) == [file]


def test_an_original_that_was_pruned_is_gone(ledger: Ledger) -> None:
    job = add(ledger, state=State.DONE)
    found = ledger.job(job)
    assert found is not None
    ledger.moved(found.drops[0].id, Place.ARCHIVE, "2026/p.png")
    ledger.forget_kept(keep(ledger, job))
    assert ledger.kept("a") == []
    found = ledger.job(job)
    assert found is not None
    assert found.drops[0].place is Place.GONE
    # Whoever looks for it is told so.
    assert [j.id for j in ledger.holding("a", "archive", "2026/p.png")] == [job]
    assert ledger.holding("a", "outbox", "2026/p.png") == []
    assert ledger.holding("b", "archive", "2026/p.png") == []


def test_a_file_taken_back_from_retention_is_not_pruned(ledger: Ledger) -> None:
    keep(ledger, add(ledger, state=State.QUARANTINED), "failed")
    ledger.release_kept("a", "failed", "2026/p.png")
    assert ledger.kept("a") == []


# Other processes and threads.


def test_threads_take_turns(ledger: Ledger) -> None:
    def work() -> None:
        for _ in range(20):
            with ledger.transaction():
                job = add(ledger)
                ledger.change(job, State.READY, now=1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.counts()[State.READY] == 80
    assert ledger.counts()[State.WAITING] == 0


def test_a_command_writes_while_the_service_writes(ledger: Ledger, path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from retouchd.ledger import Ledger; from retouchd.job import State\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for job in ledger.jobs([State.WAITING]):\n"
        "    ledger.change(job.id, State.CANCELLED, now=1.0, why='by hand')\n"
    )
    jobs = [add(ledger) for _ in range(30)]
    command = subprocess.Popen([sys.executable, "-c", code, str(path)])
    while command.poll() is None:
        add(ledger, state=State.READY)
    assert command.returncode == 0
    found = [ledger.job(job) for job in jobs]
    assert {job.state for job in found if job} == {State.CANCELLED}


def test_a_reader_sees_one_moment(ledger: Ledger, reopened: Callable[[], LedgerReader]) -> None:
    reader = reopened()
    with reader.snapshot():
        assert reader.counts()[State.WAITING] == 0
        add(ledger)
        assert reader.counts()[State.WAITING] == 0
        assert reader.jobs(list(State)) == []
    assert reader.counts()[State.WAITING] == 1


def test_only_one_service_holds_the_ledger(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from retouchd.ledger import InstanceLock\n"
        "lock = InstanceLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=pipe, stdout=pipe)
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(LedgerHeld, match=f"process {other.pid}") as caught:
        InstanceLock(path)
    assert caught.value.exit_code == 4
    assert holder(path) == other.pid
    other.kill()
    other.communicate()
    assert holder(path) is None
    with InstanceLock(path):
        assert holder(path) == os.getpid()
    assert holder(path) is None


def test_a_look_at_the_lock_keeps_no_service_from_starting(path: Path) -> None:
    """`status` in a monitoring loop takes the lock for a moment."""
    with InstanceLock(path):
        pass
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            holder(path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            InstanceLock(path).release()
    finally:
        stop.set()
        looking.join()


# Migrations and damage.


def test_the_next_job_is_found_without_sorting_the_backlog(ledger: Ledger) -> None:
    """It is asked for before each job, and a backlog may be huge."""
    values = {"now": 1.0, "longest": LONGEST, "lanes": "[]", "busy": "[]"}
    query = "EXPLAIN QUERY PLAN " + ledger._statements.named["due"]
    steps = [row["detail"] for row in ledger._db.execute(query, values)]
    assert "SCAN jobs USING INDEX jobs_due" in steps
    assert not any("TEMP B-TREE" in step for step in steps)


def test_every_number_of_migration_is_there_once() -> None:
    text = Path(__file__).parents[1].joinpath("daemon/retouchd/ledger/ledger.sql").read_text()
    numbers = [int(line.split()[2]) for line in text.splitlines() if "-- migration:" in line[:13]]
    assert numbers == list(range(1, len(load_statements().migrations) + 1))


def test_opening_again_migrates_nothing_and_keeps_the_identity(ledger: Ledger, path: Path) -> None:
    again = Ledger(path)
    assert again.id == ledger.id
    assert len(again.id) == 8
    again.close()


def test_a_migration_cut_in_the_middle_leaves_the_old_version(path: Path) -> None:
    class Broken(Ledger):
        def _migrate(self, version: int) -> None:
            script = self._statements.migrations[0] + "CREATE TABLE broken (;"
            object.__setattr__(self._statements, "migrations", (script,))
            super()._migrate(version)

    with pytest.raises(LedgerUnusable, match="syntax error"):
        Broken(path)
    db = sqlite3.connect(path)
    assert db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
    db.close()
    Ledger(path).close()


def test_the_clock_that_all_lanes_had_becomes_that_of_each(path: Path) -> None:
    """Or the brake of a lane that is paused during the update would be off."""

    class Earlier(Ledger):
        def _migrate(self, version: int) -> None:
            found = self._statements.migrations
            object.__setattr__(self._statements, "migrations", found[:3])
            super()._migrate(version)

    old = Earlier(path)
    old._db.execute(
        "INSERT INTO jobs (lane, task, state, source, name, created_at, updated_at)"
        " VALUES ('a', 'matte', 'done', 'photo', 'p', 1, 1)"
    )
    old._db.execute(
        "INSERT INTO kept (job, lane, role, path, size, mtime_ns, completed_at)"
        " VALUES (1, 'a', 'outputs', x'70', 1, 1, 1)"
    )
    old._db.execute("UPDATE clock SET newest = 70")
    old.close()
    ledger = Ledger(path)
    assert (ledger.clock_of("a"), ledger.newest_clock()) == (70.0, 70.0)
    ledger.close()


def test_a_photo_is_found_by_name_without_reading_all_of_them(ledger: Ledger) -> None:
    """While a mask waits for its photo that is asked again and again."""
    names = {"lane": "a", "name": "p", "first": "p.", "last": "p/"}
    query = "EXPLAIN QUERY PLAN " + ledger._statements.named["photos_named"]
    steps = [row["detail"] for row in ledger._db.execute(query, names)]
    assert any("USING INDEX photos_by_name (folded>? AND folded<?)" in step for step in steps)
    assert not any(step.startswith("SCAN") for step in steps)


def test_a_newer_ledger_is_refused(ledger: Ledger, path: Path) -> None:
    ledger._db.execute("PRAGMA user_version = 99")
    for kind in (Ledger, LedgerReader):
        with pytest.raises(LedgerUnusable, match=r"newer retouchd \(schema 99\)"):
            kind(path)


def test_a_file_that_is_no_ledger_is_refused_with_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is a text and no database at all, " * 50)
    for kind in (Ledger, LedgerReader):
        with pytest.raises(LedgerUnusable, match="file is not a database") as caught:
            kind(path)
        assert "moved away" in caught.value.advice
    assert path.read_bytes().startswith(b"this is a text")


def test_a_damaged_ledger_is_refused_with_what_to_do(ledger: Ledger, path: Path) -> None:
    for number in range(50):
        add(ledger, f"photo {number} {'x' * 500}.png")
    ledger.close()
    data = bytearray(path.read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 12288)
    path.write_bytes(data)
    with pytest.raises(LedgerUnusable) as caught:
        Ledger(path)
    assert "moved away" in caught.value.advice
    # A fixture closes it once more, which must not matter.


def test_a_ledger_that_is_not_there_is_said_to_come(path: Path) -> None:
    with pytest.raises(LedgerUnusable, match="there is none yet"):
        LedgerReader(path)
    path.parent.mkdir()
    path.touch()
    with pytest.raises(LedgerUnusable, match="not set up"):
        LedgerReader(path)


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerUnusable, match=r"Not a directory|File exists"):
        Ledger(tmp_path / "file" / "ledger.sqlite3")
    with pytest.raises(LedgerUnusable, match="can't be written"):
        InstanceLock(tmp_path / "file" / "ledger.sqlite3")


def test_no_refusal_leaves_a_connection_open(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database " * 100)
    before = len(os.listdir("/proc/self/fd"))
    for kind in (Ledger, LedgerReader):
        with pytest.raises(LedgerUnusable):
            kind(path)
    assert len(os.listdir("/proc/self/fd")) == before
