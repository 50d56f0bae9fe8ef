"""Pruning through the real command: it deletes what retouchd made and filed itself, unchanged and
due, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time

import pytest

DAY = 86400


def ledger(spool):
    return sqlite3.connect(spool.root / ".retouchd" / "ledger.sqlite3", timeout=20)


def age(spool, days, where="1"):
    """Let files have been finished earlier."""
    with ledger(spool) as db:
        db.execute(f"UPDATE kept SET completed_at = completed_at - ? WHERE {where}", (days * DAY,))


def kept(spool):
    with ledger(spool) as db:
        return {bytes(path).decode() for (path,) in db.execute("SELECT path FROM kept")}


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
    age(spool, 20, "CAST(path AS TEXT) LIKE '%photo0.png' AND role = 'outputs'")
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


@pytest.fixture
def later():
    """Run a command so many days later."""
    if shutil.which("faketime") is None:
        pytest.skip("there is no faketime")

    def run(spool, days, *words):
        command = ["faketime", "-f", f"+{days}d", *spool.command(*words)]
        environment = {**os.environ, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment
        )

    return run


@pytest.mark.soak
def test_a_clock_that_jumps_deletes_nothing_until_a_person_says_so(spool, later):
    finished(spool, 10)
    assert prune(spool) == []
    before = everything(spool)
    braked = later(spool, 400, "prune")
    assert braked.returncode == 0
    assert "400 days beyond" in braked.stdout
    assert "--force" in braked.stdout
    assert everything(spool) == before
    # Asking twice does not make a wrong clock right.
    assert "nothing was deleted" in later(spool, 400, "prune").stdout
    assert everything(spool) == before
    assert "deleted 30 files" in later(spool, 400, "prune", "--force").stdout
    assert everything(spool) == set()


@pytest.mark.soak
def test_a_service_years_later_is_braked_too(spool, later, start):
    finished(spool, 10)
    assert prune(spool) == []
    before = everything(spool)
    running = start(
        under=("faketime", "-f", "+400d"), environment={"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    )
    assert "400 days" in running.wait_for("prune braked")["why"]
    assert everything(spool) == before


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
    running.wait_for("pruned", timeout=30)
    assert spool.files(spool.outbox) == []
