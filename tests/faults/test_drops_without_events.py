"""Promise 8: drops of which no event tells are found: on a share that others write to within the
scan interval and ten seconds, and after the kernel's queue of events was full at once.

The shares are a file system in user space (and bindfs, where it is installed) over a folder that is
written beneath, as by another computer. Beside these, tests/e2e/test_drop_contract.py has a lane
that only scans.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers.campaign import PATIENT
from helpers.pictures import blob, texture
from helpers.running import eventually
from helpers.spool import Lanes, Spool
from helpers.standing import rows

PROMISE = "8 seconds until drops without events were noticed"
SLACK = 10.0
FOREVER = ("--set", "scan.local=1h")
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class Seen:
    """What a lane's ledger says of its drops."""

    def __init__(self, lanes, lane):
        self._state, self._lane = lanes.root / "state", lane

    def states(self):
        found = rows(self._state)
        return {row.name: row.state for row in found if row.lane == self._lane}

    def seconds_until(self, name, *states, timeout=SLACK):
        """How long it took until a drop was in one of these states."""
        began = time.monotonic()
        assert eventually(lambda: self.states().get(name) in states, timeout + 60), self.states()
        return time.monotonic() - began


FOUND = ("waiting", "ready", "running", "published", "done")


@pytest.fixture
def bindfs(tmp_path):
    """The same by another file system."""
    if shutil.which("bindfs") is None:
        pytest.skip("there is no bindfs")
    beneath, folder = tmp_path / "bound-beneath", tmp_path / "bound"
    beneath.mkdir()
    folder.mkdir()
    done = subprocess.run(["bindfs", beneath, folder], capture_output=True, timeout=30, check=False)
    if done.returncode:
        pytest.skip(f"bindfs does not work here: {done.stderr.decode()}")
    yield beneath, folder
    subprocess.run(["umount", "-l", folder], timeout=30, check=True)


@pytest.fixture
def blind(request, tmp_path):
    """A share: the folder beneath, and where it is mounted."""
    if request.param == "bindfs":
        return request.getfixturevalue("bindfs")
    share = request.getfixturevalue("make_share")()
    return share.source, share.folder


def begin(start_all, tmp_path, folder, beneath, *options):
    lanes = Lanes(tmp_path / "root")
    lanes.lane("blind", model="flat", root=str(folder))
    running = start_all(lanes, *PATIENT, *options)
    watching = running.wait_for("watching")
    assert watching["by"] == "scan"
    assert watching["on"].startswith("fuse")
    return lanes, Spool(beneath, lanes.where), running


@pytest.mark.parametrize(
    "blind", ["share", pytest.param("bindfs", marks=pytest.mark.soak)], indirect=True
)
def test_what_another_computer_drops_is_found(start_all, tmp_path, blind, tally):
    beneath, folder = blind
    every = 1.0
    options = ("--set", f"scan.remote={every:g}s")
    lanes, spool, running = begin(start_all, tmp_path, folder, beneath, *options)
    seen = Seen(lanes, "blind")
    for number, name in enumerate(("top.png", "deep/er/sub.png", "folder/x.jpg")):
        time.sleep(random.Random(number).uniform(0, every))
        spool.drop(name, texture(number))
        took = seen.seconds_until(name, *FOUND)
        assert took < every + SLACK
        tally.add(PROMISE, f"{'under' if took < every + 2 else 'over'} the interval + 2 s")
        spool.drop(f"{name}.mask.png", blob())
        assert seen.seconds_until(name, "done", timeout=60) < 120
    assert running.stop() == 0
    assert spool.digests(spool.archive) == spool.dropped


@pytest.mark.soak
@pytest.mark.parametrize("blind", ["share", "bindfs"], indirect=True)
def test_what_another_computer_changes_is_noticed(start_all, tmp_path, blind):
    """Taken away, renamed, replaced, rewritten in place: beneath, where no event tells."""
    beneath, folder = blind
    options = ("--set", "scan.remote=1s")
    lanes, spool, running = begin(start_all, tmp_path, folder, beneath, *options)
    seen = Seen(lanes, "blind")
    for number, name in enumerate(("gone.png", "old.png", "same.png", "new.png")):
        spool.drop(name, texture(number))
    assert eventually(lambda: len(seen.states()) == 4)
    (spool.inbox / "gone.png").unlink()
    (spool.inbox / "old.png").rename(spool.inbox / "other.png")
    inode = (spool.inbox / "same.png").stat().st_ino
    spool.drop("same.png", texture(12))
    assert (spool.inbox / "same.png").stat().st_ino == inode
    spool.drop("new.png.part", texture_png(13))
    (spool.inbox / "new.png.part").replace(spool.inbox / "new.png")
    assert seen.seconds_until("gone.png", "cancelled") < 1 + SLACK
    assert seen.seconds_until("other.png", "waiting") < 1 + SLACK
    for name in ("other", "same", "new"):
        spool.drop(f"{name}_mask.png", blob())
    for name in ("other.png", "same.png", "new.png"):
        seen.seconds_until(name, "done", timeout=60)
    assert running.stop() == 0
    undisturbed = Spool(tmp_path / "undisturbed")
    for name, seed in (("other", 1), ("same", 12), ("new", 13)):
        undisturbed.drop_pair(name, seed=seed)
    assert undisturbed.once("--model", "flat").returncode == 0
    assert spool.digests(spool.outbox) == undisturbed.digests(undisturbed.outbox)


def texture_png(seed):
    import cv2

    return cv2.imencode(".png", texture(seed))[1].tobytes()


@pytest.mark.soak
@pytest.mark.parametrize("blind", ["share", "bindfs"], indirect=True)
def test_drops_are_found_in_time_with_the_intervals_that_everybody_has(
    start_all, tmp_path, blind, tally
):
    beneath, folder = blind
    options = ("--set", "scan.settle=2s")
    lanes, spool, running = begin(start_all, tmp_path, folder, beneath, *options)
    seen, chance = Seen(lanes, "blind"), random.Random(8)
    for number in range(12):
        time.sleep(chance.uniform(0, 15))
        name = f"{'sub/' * (number % 3)}photo{number}.png"
        spool.drop(name, texture(number))
        took = seen.seconds_until(name, *FOUND)
        assert took < 15 + SLACK
        tally.add(PROMISE, f"up to {5 * (1 + int(took // 5))} s, default intervals")
    assert running.stop() == 0


def overflow(folder):
    """Have more events than the queue holds, none of which is news for the service."""
    try:
        most = int(QUEUE.read_text())
    except OSError:
        pytest.skip("there is no inotify here")
    if most > 200_000:
        pytest.skip(f"the queue holds {most} events, too many to fill it")
    noise = folder / ".retouchd-noise.tmp"
    # Each pass makes four that differ, so that the kernel merges none.
    for _ in range(most // 4 + 200):
        noise.write_bytes(b"")
        noise.unlink()


@pytest.fixture
def local(start_all, tmp_path):
    lanes = Lanes(tmp_path / "root")
    spool = lanes.lane("local", model="flat")
    running = start_all(lanes, *PATIENT, *FOREVER)
    if running.wait_for("watching")["by"] != "events":
        pytest.skip("the temporary folder is on a file system without events")
    spool.drop_pair("first")
    running.wait_for("done")
    # What the end of that made has been looked at.
    time.sleep(3)
    return lanes, spool, running


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(10, marks=pytest.mark.soak)], ids=["once", "over and over"]
)
def test_drops_whose_events_were_lost_are_found_at_once(local, tally, rounds):
    """So is what comes later into a folder whose own event was lost."""
    lanes, spool, running = local
    seen = Seen(lanes, "local")
    for number in range(rounds):
        running.signal(signal.SIGSTOP)
        overflow(spool.inbox)
        spool.drop_pair(f"lost{number}", seed=number)
        (spool.inbox / f"new{number}" / "deeper").mkdir(parents=True)
        running.signal(signal.SIGCONT)
        assert seen.seconds_until(f"lost{number}.png", "done", timeout=30) < 60
        time.sleep(1.5)
        spool.drop_pair(f"new{number}/deeper/photo", seed=number)
        assert seen.seconds_until(f"new{number}/deeper/photo.png", "done", timeout=30) < 60
        tally.add(PROMISE, "the queue of events was full")
    assert running.stop() == 0
    assert spool.files(spool.inbox) == []
    assert spool.digests(spool.archive) == spool.dropped
