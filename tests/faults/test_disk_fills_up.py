"""Promise 5: a full disk pauses the lane, which says why, and goes on by itself within a minute
after there is space again; no attempt is counted.

Beside these, tests/e2e/test_full_disk.py: archive, state folder, `once`, processor time.
"""

from __future__ import annotations

import subprocess
import time

import pytest

from helpers.campaign import PATIENT, digests
from helpers.disks import Disk
from helpers.filler import give_back, take_all_bytes, take_all_inodes
from helpers.running import Running, eventually
from helpers.standing import rows

PROMISE = "5 disks that were full, by kind"
WITHIN = 60.0


def drops(campaign):
    for number, suffix in enumerate((".png", ".jpg", ".tif")):
        campaign.inpaint.drop_pair(f"pair{number}", suffix, seed=number)
    campaign.drop_cutouts()


class Full:
    """A disk on which outputs of both lanes lie, and where nothing more fits."""

    def __init__(self, folder):
        self.folder = folder

    def fill(self):
        take_all_bytes(self.folder)

    def free(self):
        give_back(self.folder)


class OutOfInodes(Full):
    def fill(self):
        take_all_inodes(self.folder)


class OverQuota(Full):
    """btrfs tells EDQUOT, and not always at the write."""

    def fill(self):
        _btrfs("quota", "enable", str(self.folder))
        self._limit("32K")

    def free(self):
        self._limit("none")

    def _limit(self, size):
        _btrfs("qgroup", "limit", size, str(self.folder))
        _btrfs("filesystem", "sync", str(self.folder))


def _btrfs(*words):
    done = subprocess.run(["btrfs", *words], capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"btrfs {words[0]} does not work here: {done.stderr.decode()}")


@pytest.fixture
def make_full(tmp_path, mount):
    """``make_full(kind)`` → a full disk at ``tmp_path/disk``."""
    disks = []

    def make(kind):
        folder = tmp_path / "disk"
        if kind == "tmpfs blocks":
            return Full(mount(folder, "size=1m"))
        if kind == "tmpfs inodes":
            return OutOfInodes(mount(folder, "size=8m,nr_inodes=48"))
        name = "btrfs" if kind == "btrfs quota" else kind
        disks.append(Disk(name, folder, tmp_path / "disk.img"))
        return OverQuota(folder) if kind == "btrfs quota" else Full(folder)

    yield make
    for disk in disks:
        disk.close()


def outside(campaign, folder):
    """Let both lanes' outputs, and what is in review, lie on another disk."""
    for lane in campaign.lanes.lanes.values():
        outputs = folder / lane["name"]
        lane["outbox"] = str(outputs / "outbox")
        if lane.get("task") == "matte":
            lane["review"] = str(outputs / "review")
    campaign.lanes.write()


KINDS = ["tmpfs blocks", "tmpfs inodes", "ext4", "xfs", "btrfs quota"]


@pytest.fixture
def placed(campaign, make_full, request):
    full = make_full(request.param)
    outside(campaign, full.folder)
    campaign.finish()
    return campaign, full, request.param


def states(campaign):
    return {row.state for row in rows(campaign.state_folder)}


def lanes(campaign):
    """The lanes as `status` shows them; those that are paused have to say why."""
    found = campaign.lanes.status()["lanes"]
    for lane in found:
        if lane["paused"]:
            assert "no space left" in lane["paused"]
            assert "Free some space" in lane["remedy"]
    return found


def check_untouched(campaign):
    """Nothing is held against a job, and nothing was moved."""
    assert all(job["attempts"] == 0 and job["crashes"] == 0 for job in campaign.jobs())
    for spool in campaign.spools.values():
        assert spool.files(spool.inbox) == sorted(spool.dropped)


@pytest.mark.parametrize(
    "placed",
    [pytest.param(k, marks=pytest.mark.soak) for k in KINDS],
    indirect=True,
)
def test_it_waits_and_goes_on_by_itself(placed, expected_of, tally, reader):
    campaign, full, kind = placed
    expected = expected_of(drops)
    watcher = reader(full.folder)
    full.fill()
    drops(campaign)
    running = Running(campaign.lanes, *PATIENT)
    try:
        for lane in campaign.spools:
            running.wait_for("lane paused", lane=lane)
        # What `status` shows is two seconds old, and a lane that looks well is tried again.
        assert eventually(lambda: all(lane["paused"] for lane in lanes(campaign)), 120)
        assert eventually(lambda: states(campaign) == {"ready"})
        check_untouched(campaign)
        full.free()
        freed = time.monotonic()
        running.wait_for("done", 5, timeout=WITHIN)
        took = time.monotonic() - freed
        assert running.stop() == 0
    finally:
        running.close()
    tally.add(PROMISE, kind, seconds=round(took, 1))
    assert states(campaign) == {"done"}
    assert all(job["attempts"] == 1 for job in campaign.jobs())
    assert watcher.reads > 0
    check_outputs(campaign, full, expected)


def check_outputs(campaign, full, expected):
    for place, wanted in expected.items():
        lane = place.partition("/")[0]
        folder = full.folder / place
        if folder.exists():
            assert digests(campaign.spools[lane], folder) == wanted
        else:
            assert not wanted
    for spool in campaign.spools.values():
        assert spool.files(spool.inbox) == []
        assert spool.digests(spool.archive) == spool.dropped
    assert not list(full.folder.rglob(".retouchd-*.tmp"))
