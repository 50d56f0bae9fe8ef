"""Pruning through the real command: it deletes what retouchd made and filed itself, unchanged and
due, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import time

import pytest

DAY = 86400
FOLDERS = {"outputs": "outbox", "archive": "archive", "failed": "failed"}


def ledger(spool):
    return sqlite3.connect(spool.root / ".retouchd" / "ledger.sqlite3", timeout=20)


def age(spool, days, where="1"):
    """Let files have been finished earlier."""
    with ledger(spool) as db:
        db.execute(f"UPDATE kept SET completed_at = completed_at - ? WHERE {where}", (days * DAY,))


def named(pattern, role):
    """Which kept files. A path is a BLOB, and not every SQLite compares those with LIKE."""
    return f"CAST(path AS TEXT) LIKE '%{pattern}' AND role = '{role}'"


def switched_off(spool, days):
    """Let everything be so many days ago, as after so long a holiday."""
    age(spool, days)
    with ledger(spool) as db:
        db.execute("UPDATE clocks SET newest = newest - ?", (days * DAY,))


def kept(spool):
    """Folder and path of every file that retention knows."""
    with ledger(spool) as db:
        rows = db.execute("SELECT role, path FROM kept").fetchall()
    return {f"{FOLDERS[role]}/{bytes(path).decode()}" for role, path in rows}


def finished(spool, pairs):
    for number in range(pairs):
        spool.drop_pair(f"photo{number}", seed=number)
    done = spool.once()
    assert done.returncode == 0, done.stderr


def find(folder, name):
    (path,) = folder.rglob(name)
    return path


def prune(spool, *more):
    done = spool.retouchd("prune", "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["files"]


def everything(spool):
    return {
        str(path.relative_to(spool.root))
        for folder in (spool.inbox, spool.outbox, spool.archive, spool.failed)
        for path in folder.rglob("*")
        if not path.is_dir() and path.name != ".retouchd-root"
    }


def test_only_what_is_due_and_unchanged_goes(spool):
    finished(spool, 4)
    # An output that was edited, one that was replaced, an original that became a link, one whose
    # folder did, and files that retouchd never knew.
    edited, replaced = find(spool.outbox, "photo0.png"), find(spool.outbox, "photo1.png")
    edited.write_bytes(edited.read_bytes() + b"edited")
    other = replaced.with_name("other.png")
    other.write_bytes(b"another picture")
    other.rename(replaced)
    linked = find(spool.archive, "photo0.png")
    target = spool.root / "precious.png"
    linked.rename(target)
    linked.symlink_to(target)
    foreign = edited.with_name("foreign.png")
    foreign.write_bytes(b"a person put it here")
    stats = target.stat()
    before = everything(spool)
    age(spool, 100)
    listed = prune(spool, "--dry-run")
    assert everything(spool) == before
    assert prune(spool) == listed
    left = {name.rpartition("/")[2] for name in everything(spool) if name.startswith("outbox")}
    assert left == {"photo0.png", "photo1.png", "foreign.png"}
    assert linked.is_symlink()
    assert target.stat() == stats
    assert [name for name in everything(spool) if name.startswith("archive")] == [
        str(linked.relative_to(spool.root))
    ]
    assert kept(spool) == set()
    assert foreign.read_bytes() == b"a person put it here"


def test_what_is_not_due_stays(spool):
    finished(spool, 2)
    before = everything(spool)
    age(spool, 80)
    assert prune(spool) == []
    age(spool, 20, named("photo0.png", "outputs"))
    (gone,) = prune(spool)
    assert gone["reason"] == "older than 90d"
    assert before - everything(spool) == {gone["path"].removeprefix(f"{spool.root}/")}


def test_files_that_a_job_still_needs_stay(spool):
    """However old they are: a person wants this one tried again."""
    spool.drop_pair("photo")
    spool.drop_pair("bad")
    spool.drop("bad.png", b"no picture")
    assert spool.once().returncode == 3
    (job,) = [job["id"] for job in spool.jobs() if job["state"] == "quarantined"]
    age(spool, 200)
    assert spool.retouchd("retry", str(job)).returncode == 0
    gone = {entry["path"].rpartition("/")[2] for entry in prune(spool)}
    assert "bad.png" not in gone
    assert find(spool.failed, "bad.png").read_bytes() == b"no picture"
    # It fails again, and from now on its time runs anew.
    assert spool.once().returncode == 3
    assert prune(spool) == []
    assert find(spool.failed, "bad.png").exists()


def test_a_clock_that_jumps_deletes_nothing_until_a_person_says_so(spool):
    finished(spool, 10)
    assert prune(spool) == []
    before = everything(spool)
    switched_off(spool, 400)
    for _ in range(2):
        braked = spool.retouchd("prune").stdout
        assert "nothing deleted. the clock stands 400 days beyond" in braked
        assert everything(spool) == before
    assert "deleted 30 files" in spool.retouchd("prune", "--force").stdout
    assert everything(spool) == set()


def test_a_service_years_later_is_braked_too(spool, start):
    finished(spool, 10)
    assert prune(spool) == []
    before = everything(spool)
    switched_off(spool, 400)
    running = start()
    assert "400 days" in running.wait_for("prune braked")["why"]
    assert everything(spool) == before


@pytest.mark.soak
def test_a_clock_that_really_stands_wrong_is_braked(spool, start, days_later):
    """The same with the system's clock instead of the ledger's. (Under libfaketime time.sleep
    fails, so how a process ends means nothing here.)"""
    finished(spool, 10)
    assert prune(spool) == []
    before = everything(spool)
    later = days_later(400)
    assert "the clock stands 400 days beyond" in spool.retouchd("prune", environment=later).stdout
    running = start(environment=later)
    assert "400 days" in running.wait_for("prune braked")["why"]
    running.kill()
    assert everything(spool) == before
    forced = spool.retouchd("prune", "--force", environment=later)
    assert "deleted 30 files" in forced.stdout
    assert everything(spool) == set()


class TestMinFree:
    """Space is found where it is lacking, from the oldest on, and no more of it than is needed."""

    @pytest.fixture
    def disk(self, spool, mount, tmp_path):
        """Outbox, archive and quarantine on one small disk, the ledger on another."""
        mount(tmp_path / "disk", "size=2m")
        for folder in (spool.outbox, spool.archive, spool.failed):
            (tmp_path / "disk" / folder.name).mkdir()
            mount(folder, source=tmp_path / "disk" / folder.name)
        return tmp_path / "disk"

    @staticmethod
    def free(folder):
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    @staticmethod
    def finished_one_by_one(spool, pairs):
        """photo0 is the oldest."""
        finished(spool, pairs)
        for number in range(pairs):
            for role, name in (
                ("outputs", f"photo{number}.png"),
                ("archive", f"photo{number}.png"),
                ("archive", f"photo{number}_mask.png"),
            ):
                age(spool, pairs - number, named(name, role))

    @staticmethod
    def lack(folder, size):
        """The setting for which a folder's disk has so many bytes too few."""
        needed = TestMinFree.free(folder) + size
        return ("--set", f"lanes.*.retention.min_free={needed}B")

    def test_another_disk_has_nothing_to_give(self, spool, mount):
        mount(spool.outbox, "size=1m")
        self.finished_one_by_one(spool, 3)
        size = find(spool.outbox, "photo0.png").stat().st_size
        gone = prune(spool, *self.lack(spool.outbox, size // 2))
        assert [entry["path"].rpartition("/")[2] for entry in gone] == ["photo0.png"]
        assert spool.undated(spool.outbox) == ["photo1.png", "photo2.png"]
        assert len(spool.files(spool.archive)) == 6
        assert prune(spool, *self.lack(spool.outbox, 0)) == []

    def test_on_one_disk_the_archive_goes_first(self, spool, disk):
        self.finished_one_by_one(spool, 3)
        before = self.free(disk)
        assert prune(spool, *self.lack(disk, 1)) != []
        archived = spool.undated(spool.archive)
        assert len(archived) == 5
        assert archived[-2:] == ["photo2.png", "photo2_mask.png"]
        assert self.free(disk) > before
        left = sum(path.stat().st_size for path in spool.archive.rglob("*.png"))
        first = find(spool.outbox, "photo0.png").stat().st_size
        prune(spool, *self.lack(disk, left + first // 2))
        assert spool.files(spool.archive) == []
        assert spool.undated(spool.outbox) == ["photo1.png", "photo2.png"]


def test_a_full_disk_is_freed_by_the_service_itself(spool, mount, start):
    """The lane is paused then, and would wait for ever for what only pruning can give."""
    mount(spool.outbox, "size=1m")
    finished(spool, 3)
    filler = spool.outbox / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    size = filler.stat().st_size
    spool.drop_pair("photo3", seed=3)
    running = start("--set", "lanes.*.retention.every=1s")
    running.wait_for("lane paused")
    assert len(spool.files(spool.outbox)) == 4
    age(spool, 100, f"{named('photo0.png', 'outputs')} OR {named('photo1.png', 'outputs')}")
    running.wait_for("pruned")
    running.wait_for("done", file="photo3.png")
    assert running.stop() == 0
    assert {"photo2.png", "photo3.png"} == set(spool.undated(spool.outbox)) - {""}
    assert filler.stat().st_size == size


def test_the_service_prunes_by_itself(spool, start, eventually):
    finished(spool, 2)
    age(spool, 100, "role = 'archive'")
    running = start("--set", "lanes.*.retention.every=1s")
    assert running.wait_for("pruned")["files"] == 4
    assert spool.files(spool.archive) == []
    age(spool, 100, "role = 'outputs'")
    assert eventually(lambda: spool.files(spool.outbox) == [], 10)
    assert running.stop() == 0


@pytest.mark.soak
def test_a_lost_share_prunes_nothing_and_forgets_nothing(spool, start, mount, tmp_path):
    mount(tmp_path / "keep")
    mount(spool.outbox, source=tmp_path / "keep")
    finished(spool, 3)
    age(spool, 100)
    subprocess.run(["umount", "-l", spool.outbox], check=True)
    running = start("--set", "lanes.*.retention.every=1s")
    running.wait_for("lane paused")
    time.sleep(3)
    assert len(kept(spool)) == 9
    assert len(spool.files(spool.archive)) == 6
    mount(spool.outbox, source=tmp_path / "keep")
    running.wait_for("pruned")
    assert spool.files(spool.outbox) == []


class Due:
    """A spool with what is due and what must stay, which can be had anew as it was."""

    def __init__(self, spool, saved):
        self.spool, self._saved = spool, saved
        spool.drop_pair("bad")
        spool.drop("bad.png", b"no picture")
        for number in range(3):
            spool.drop_pair(f"album/photo{number}", seed=number)
        assert spool.once().returncode == 3
        edited = find(spool.outbox, "photo1.png")
        edited.write_bytes(b"edited by hand")
        for folder in (spool.outbox, spool.archive, spool.failed):
            (folder / "old").mkdir()
            (folder / "old" / "foreign.png").write_bytes(b"a person put it here")
            os.utime(folder / "old" / "foreign.png", (1, 1))
        every = kept(spool)
        assert len(every) == 12
        age(spool, 100, "CAST(path AS TEXT) NOT LIKE '%photo2%'")
        self.younger = {path for path in every if "photo2" in path}
        self.due = every - self.younger - {str(edited.relative_to(spool.root))}
        assert len(self.due) == 8
        self.must_stay = {path: self.look(path) for path in everything(spool) - self.due}
        self.jobs = [(job["id"], job["state"]) for job in spool.jobs()]
        shutil.copytree(spool.root, saved)

    def look(self, path):
        file = self.spool.root / path
        return file.read_bytes(), file.stat().st_mtime_ns

    def anew(self):
        shutil.rmtree(self.spool.root)
        shutil.copytree(self._saved, self.spool.root)

    def check_meanwhile(self):
        """What must stay is there, and what is due and still there is not forgotten."""
        there = everything(self.spool)
        assert {path: self.look(path) for path in there - self.due} == self.must_stay
        assert there & self.due <= kept(self.spool)
        assert self.younger <= kept(self.spool)

    def check_pruned(self):
        """What was due is gone, with its folders, nothing else is, and the ledger knows it."""
        self.check_meanwhile()
        assert everything(self.spool) & self.due == set()
        assert kept(self.spool) == self.younger
        assert [(job["id"], job["state"]) for job in self.spool.jobs()] == self.jobs
        with ledger(self.spool) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = db.execute('SELECT place, "where" FROM drops').fetchall()
        places = {f"{place}/{bytes(where).decode()}" for place, where in rows if place != "gone"}
        assert places == {path for path in self.younger if not path.startswith("outbox")}
        assert len(rows) == 8
        for folder in (self.spool.outbox, self.spool.archive, self.spool.failed):
            assert all(any(f.iterdir()) for f in folder.rglob("*") if f.is_dir())


@pytest.fixture(scope="module")
def due_once(make_spool, tmp_path_factory):
    return Due(make_spool(), tmp_path_factory.mktemp("saved") / "root")


@pytest.fixture
def due(due_once):
    due_once.anew()
    return due_once


def moments(quick, sweep):
    """Cases of (system call, which of them); those that are not quick are for the soak."""
    rest = [case for case in sweep if case not in quick]
    return [*quick, *(pytest.param(*case, marks=pytest.mark.soak) for case in rest)]


# Hands delete 8 files and the folders that this empties, and sync each folder once; the command
# itself commits once a folder and at the end, and writes some pages of the ledger each time.
OF_HANDS = [("unlinkat", n) for n in range(1, 15)] + [("fsync", n) for n in range(1, 6)]
OF_THE_COMMAND = [("fdatasync", n) for n in range(1, 6)] + [("pwrite64", n) for n in range(1, 25)]


class TestKilled:
    """However often pruning is killed: repeated, it ends as if it had not been."""

    @pytest.mark.parametrize(
        ("call", "number"),
        moments([("unlinkat", 2), ("fdatasync", 1)], OF_HANDS + OF_THE_COMMAND),
    )
    def test_the_command(self, due, inject, call, number):
        fault = inject(f"{call}:signal=SIGKILL:when={number}")
        codes = []
        for _ in range(2):
            codes.append(due.spool.retouchd("prune", under=fault).returncode)
            due.check_meanwhile()
        assert set(codes) <= {0, 75, -9}
        prune(due.spool)
        due.check_pruned()

    @pytest.mark.soak
    @pytest.mark.parametrize("number", range(1, 5))
    def test_the_service_at_a_commit(self, due, start_all, inject, eventually, number):
        every = ("--set", "lanes.*.retention.every=1s")
        fault = inject(f"fdatasync:signal=SIGKILL:when={number}")
        running = start_all(due.spool, *every, under=fault)
        assert eventually(lambda: running.process.poll() == -9)
        due.check_meanwhile()
        running = start_all(due.spool, *every)
        running.wait_for("watching")
        assert eventually(lambda: kept(due.spool) == due.younger)
        assert running.stop() == 0
        due.check_pruned()

    @pytest.mark.parametrize(
        "number", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in (2, 3))]
    )
    def test_the_services_hands(self, due, start_all, inject, eventually, number):
        """Each deletes so many files or folders and dies; the service takes the next."""
        fault = inject(f"unlinkat:signal=SIGKILL:when={number + 1}")
        running = start_all(due.spool, "--set", "lanes.*.retention.every=1s", under=fault)
        running.wait_for("prune trouble")
        assert eventually(lambda: kept(due.spool) == due.younger, 90)
        assert running.stop() == 0
        due.check_pruned()

    @pytest.mark.soak
    @pytest.mark.parametrize("seed", range(8))
    def test_at_random_times(self, due, inject, seed):
        """The command dies while its hand is deleting, slowly; the hand dies with it."""
        chance = random.Random(seed)
        for _ in range(4):
            before = everything(due.spool)
            slowly = [*inject("unlinkat:delay_enter=60000"), *due.spool.command("prune")]
            command = subprocess.Popen(slowly, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 30
            while command.poll() is None and time.monotonic() < deadline:
                if everything(due.spool) != before:
                    break
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.5))
            command.kill()
            command.wait(10)
            due.check_meanwhile()
        prune(due.spool)
        due.check_pruned()
