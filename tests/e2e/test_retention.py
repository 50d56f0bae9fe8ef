"""Pruning through the real command: it deletes what retouchd made and filed itself, unchanged and
due, and nothing else. Whatever people and clocks do: tests/faults/test_retention.py."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time

import pytest

from helpers.filler import take_all_bytes
from helpers.spool import OUR_MARKS

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
        db.execute("UPDATE clocks SET newest = newest - :s, last = last - :s", {"s": days * DAY})


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
        if not path.is_dir() and path.name not in OUR_MARKS
    }


def test_what_is_not_due_stays(spool):
    finished(spool, 2)
    before = everything(spool)
    age(spool, 80)
    assert prune(spool) == []
    age(spool, 20, named("photo0.png", "outputs"))
    (gone,) = prune(spool)
    assert gone["reason"] == "older than 90d"
    assert before - everything(spool) == {gone["path"].removeprefix(f"{spool.root}/")}


def test_of_what_was_deleted_explain_says_so(spool):
    finished(spool, 1)
    output, original = find(spool.outbox, "photo0.png"), find(spool.archive, "photo0.png")
    for path in (output, original):
        assert f"The output is {output}." in spool.retouchd("explain", str(path)).stdout
    age(spool, 100)
    assert len(prune(spool)) == 3
    for path in (output, original):
        told = spool.retouchd("explain", str(path)).stdout
        assert f"The output was {output}: deleted by retention, or taken away." in told
        assert "The output is" not in told
        assert "Original photo0.png: taken away or pruned." in told
    # Somebody has it from a backup, and it is theirs.
    output.parent.mkdir()
    output.write_bytes(b"mine")
    assert f"The output is {output}." in spool.retouchd("explain", str(output)).stdout


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


@pytest.mark.soak  # tests/faults has it, quicker and at more places
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


def test_programs_are_told_which_lanes_the_brake_held_back_and_why(spool):
    """Else nothing to delete looks the same as nothing that may be."""
    finished(spool, 1)
    assert json.loads(spool.retouchd("prune", "--json").stdout)["braked"] == []
    switched_off(spool, 400)
    before = everything(spool)
    for options in (("--dry-run",), ()):
        told = json.loads(spool.retouchd("prune", "--json", *options).stdout)
        assert told["files"] == []
        (held,) = told["braked"]
        assert held["lane"] == "inpaint"
        assert "the clock stands 400 days beyond" in held["why"]
        assert "retouchd prune --force" in held["why"]
    assert everything(spool) == before
    forced = json.loads(spool.retouchd("prune", "--json", "--force").stdout)
    assert (len(forced["files"]), forced["braked"]) == (3, [])


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


@pytest.mark.soak  # tests/faults has it, quicker and at more places
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


def test_what_something_else_fills_costs_no_file(spool, mount, start):
    mount(spool.outbox, "size=1m")
    finished(spool, 3)
    take_all_bytes(spool.outbox)
    before = everything(spool)
    wanted = ("--set", "lanes.*.retention.min_free=900KiB")
    told = json.loads(spool.retouchd("prune", "--json", *wanted).stdout)
    assert told["files"] == []
    assert "it would still lack" in told["short"][0]["why"]
    assert "it would still lack" in spool.retouchd("prune", "--dry-run", *wanted).stdout
    running = start("--set", "lanes.*.retention.every=1s", *wanted)
    warning = running.wait_for("prune short")
    assert (warning["level"], warning["lane"]) == ("warning", "inpaint")
    assert running.stop() == 0
    assert everything(spool) == before


def test_a_full_disk_is_freed_by_the_service_itself(spool, mount, start):
    """The lane is paused then, and would wait for ever for what only pruning can give."""
    mount(spool.outbox, "size=1m")
    finished(spool, 3)
    filler = take_all_bytes(spool.outbox)
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
