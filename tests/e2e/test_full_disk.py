"""A disk that is full costs time and nothing else."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time

import pytest

from helpers.filler import give_back, take_all_bytes, take_all_inodes

PAIRS = 3


def fill(spool):
    for number in range(PAIRS):
        spool.drop_pair(f"photo{number}", (".png", ".jpg", ".webp")[number], seed=number)


def states(spool):
    return {job["state"] for job in spool.jobs()}


def paused(spool):
    return spool.status()["lanes"][0]["paused"]


def check_untouched(spool):
    """The lane waits, says why, and holds nothing against its jobs."""
    lane = spool.status()["lanes"][0]
    assert "no space left" in lane["paused"]
    assert "Free some space" in lane["remedy"]
    found = [(job["state"], job["attempts"], job["crashes"]) for job in spool.jobs()]
    assert found == [("ready", 0, 0)] * PAIRS
    assert spool.files(spool.inbox) == sorted(spool.dropped)


@pytest.fixture
def small(spool, mount):
    """An outbox that was set up and is on a small disk of its own."""
    mount(spool.outbox, "size=1m,nr_inodes=24")
    assert spool.once().returncode == 0
    return spool


soak = pytest.mark.soak


@soak  # tests/faults has it, quicker
@pytest.mark.parametrize("take_all", [take_all_bytes, take_all_inodes])
def test_a_full_outbox_pauses_the_lane_and_drains_by_itself(
    small, start, undisturbed, eventually, take_all
):
    expected = undisturbed(fill)
    take_all(small.outbox)
    fill(small)
    running = start()
    running.wait_for("lane paused")
    assert eventually(lambda: states(small) == {"ready"} and paused(small))
    check_untouched(small)
    give_back(small.outbox)
    running.wait_for("done", PAIRS)
    assert running.stop() == 0
    small.check_exactly_once(expected)


@soak
def test_while_the_disk_stays_full_nothing_burns(small, start, eventually):
    """No attempt, no processor time, no flood of log lines."""
    take_all_bytes(small.outbox)
    fill(small)
    running = start()
    running.wait_for("lane paused")
    assert eventually(lambda: states(small) == {"ready"} and paused(small))
    lines, used = len(running.lines), processor_seconds(running.process.pid)
    time.sleep(12)
    assert len(running.lines) - lines <= 2
    assert processor_seconds(running.process.pid) - used < 1.0
    check_untouched(small)


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_once_gives_up_on_a_full_disk_in_time_and_says_so(small):
    take_all_bytes(small.outbox)
    fill(small)
    began = time.monotonic()
    done = small.once()
    assert done.returncode == 75
    assert "no space left" in done.stderr
    assert time.monotonic() - began < 80
    assert small.files(small.inbox) == sorted(small.dropped)
    give_back(small.outbox)
    assert small.once().returncode == 0
    assert len(small.files(small.outbox)) == PAIRS


@soak
def test_a_full_archive_publishes_once_and_files_later(
    spool, start, mount, undisturbed, eventually
):
    """The outputs are out; the originals wait in the inbox until there is room for them."""
    expected = undisturbed(fill)
    mount(spool.archive, "size=1m")
    assert spool.once().returncode == 0
    take_all_bytes(spool.archive)
    fill(spool)
    running = start()
    running.wait_for("lane paused")
    assert eventually(lambda: paused(spool))
    assert set(spool.digests(spool.outbox).items()) <= set(expected.items())
    assert spool.files(spool.inbox) == sorted(spool.dropped)
    give_back(spool.archive)
    running.wait_for("done", PAIRS)
    assert running.stop() == 0
    spool.check_exactly_once(expected)


@pytest.fixture
def chattr():
    """Make a folder immutable (``+i``), which stops even root from writing there."""
    closed = []

    def change(flag, folder):
        if not shutil.which("chattr"):
            pytest.skip("there is no chattr")
        done = subprocess.run(["chattr", flag, folder], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"chattr does not work here: {done.stderr.decode()}")
        closed.append(folder)

    yield change
    for folder in closed:
        subprocess.run(["chattr", "-i", folder], capture_output=True, check=False)


@soak
def test_one_folder_that_is_closed_does_not_stop_the_others(spool, start, chattr):
    """A job whose own corner is the trouble rests longer and longer; its lane goes on."""
    closed = spool.outbox / "small"
    closed.mkdir(parents=True)
    chattr("+i", closed)
    spool.drop_pair("small/photo", seed=1)
    running = start("--set", "lanes.*.output.path='{relative_dir}/{stem}{ext}'")
    running.wait_for("lane paused")
    for number in range(6):
        spool.drop_pair(f"photo{number}", seed=number)
    running.wait_for("done", 6)
    pauses = sum(line["event"] == "lane paused" for line in running.lines)
    assert pauses < 12
    assert spool.files(spool.inbox) == ["small/photo.png", "small/photo_mask.png"]
    chattr("-i", closed)
    running.wait_for("done", 7)


def test_a_folder_in_the_inbox_that_lets_nothing_out_holds_up_only_its_own(spool, start, chattr):
    """As one that a person made with the usual umask: what lies in it is done, but can't go."""
    spool.drop_pair("theirs/photo", seed=1)
    theirs = spool.inbox / "theirs"
    chattr("+i", theirs)
    running = start()
    told = running.wait_for("will go on")
    assert f"Nothing can be moved out of the folder {theirs}" in told["why"]
    spool.drop_pair("photo", seed=2)
    running.wait_for("done")
    assert "lane paused" not in {line["event"] for line in running.lines}
    assert spool.files(spool.inbox) == ["theirs/photo.png", "theirs/photo_mask.png"]
    chattr("-i", theirs)
    running.wait_for("done", 2)
    assert spool.files(spool.inbox) == []


class TestTheStateDisk:
    """The ledger's own disk: nothing can be promised without it, so nothing is begun."""

    @pytest.fixture
    def fresh(self, spool, mount):
        mount(spool.root / ".retouchd", "size=1m")
        return spool

    @pytest.fixture
    def small(self, fresh):
        assert fresh.once().returncode == 0
        return fresh

    def test_the_service_survives_it_and_recovers(self, fresh, start, undisturbed):
        expected, small = undisturbed(fill), fresh
        running = start()
        running.wait_for("watching")
        take_all_bytes(small.root / ".retouchd")
        fill(small)
        told = running.wait_for("ledger trouble")
        assert "Free some space" in told["remedy"]
        lines, used = len(running.lines), processor_seconds(running.process.pid)
        time.sleep(5)
        assert len(running.lines) - lines <= 1
        status = small.status()
        assert "full" in status["ledger_trouble"]
        assert "Free some space" in status["ledger_remedy"]
        assert processor_seconds(running.process.pid) - used < 1.0
        assert small.files(small.inbox) == sorted(small.dropped)
        give_back(small.root / ".retouchd")
        running.wait_for("done", PAIRS)
        assert running.stop() == 0
        small.check_exactly_once(expected)

    @soak
    def test_jobs_under_way_are_not_lost_by_it(self, small, start, undisturbed):
        """The commit after the deed fails: the restart of the step finds that it was done."""
        expected = undisturbed(fill)
        fill(small)
        running = start()
        running.wait_for("running", lane="inpaint")
        take_all_bytes(small.root / ".retouchd")
        time.sleep(8)
        events = [line["event"] for line in running.lines]
        assert events.count("ledger trouble") <= 3
        give_back(small.root / ".retouchd")
        running.wait_for("done", PAIRS)
        assert running.stop() == 0
        small.check_exactly_once(expected)

    @pytest.mark.parametrize("word", ["once", pytest.param("run", marks=soak)])
    def test_a_start_without_room_says_so_and_may_be_repeated(self, small, word):
        """75 lets systemd start it again, as long as it takes."""
        fill(small)
        take_all_bytes(small.root / ".retouchd")
        done = small.retouchd(word, fast=True)
        assert done.returncode == 75
        assert "Traceback" not in done.stderr
        give_back(small.root / ".retouchd")
        assert small.once().returncode == 0
        with sqlite3.connect(small.root / ".retouchd" / "ledger.sqlite3") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
