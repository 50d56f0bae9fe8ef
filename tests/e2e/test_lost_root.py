"""A share that vanishes pauses its lane; nothing is written below the mount point, and nothing is
believed to be deleted."""

from __future__ import annotations

import subprocess
import time

import pytest


class Share:
    """A tmpfs at one of the spool's folders, kept alive elsewhere while it is not mounted there."""

    def __init__(self, folder, keeper, mount):
        self.folder, self.keeper, self._mount = folder, keeper, mount
        mount(keeper)
        self.come()

    def come(self):
        self._mount(self.folder, source=self.keeper)

    def go(self):
        subprocess.run(["umount", "-l", self.folder], check=True, timeout=30)


@pytest.fixture
def share(spool, mount, tmp_path):
    return lambda folder: Share(folder, tmp_path / f"keep-{folder.name}", mount)


def lane(spool):
    return spool.status()["lanes"][0]


def pair_by_pair(spool):
    for number in range(3):
        spool.drop_pair(f"photo{number}", seed=number)


@pytest.mark.soak  # tests/faults has it, quicker and at more places
def test_an_inbox_that_vanishes_while_jobs_wait_keeps_them(
    spool, start, share, pictures, eventually
):
    """Photos without masks are in the ledger when their share goes: none is cancelled."""
    inbox = share(spool.inbox)
    for number in range(3):
        spool.drop(f"photo{number}.png", pictures.texture(number))
    running = start()
    running.wait_for("waiting", 3)
    inbox.go()
    assert running.wait_for("lane paused")["reason"].startswith(f"The folder {spool.inbox}")
    assert eventually(lambda: "adopt inpaint" in (lane(spool)["remedy"] or ""))
    assert {job["state"] for job in spool.jobs()} == {"waiting"}
    assert list(spool.inbox.iterdir()) == []
    inbox.come()
    running.wait_for("lane resumed")
    for number in range(3):
        spool.drop(f"photo{number}_mask.png", pictures.blob())
    running.wait_for("done", 3)
    assert running.stop() == 0
    assert spool.undated(spool.outbox) == [f"photo{n}.png" for n in range(3)]
    assert {job["state"] for job in spool.jobs()} == {"done"}


@pytest.mark.soak  # tests/faults has it, quicker and at more places
def test_an_outbox_that_vanishes_gets_nothing_below_its_mount_point(
    spool, start, share, undisturbed
):
    expected = undisturbed(pair_by_pair)
    outbox = share(spool.outbox)
    running = start()
    running.wait_for("watching", lane="inpaint")
    outbox.go()
    pair_by_pair(spool)
    running.wait_for("lane paused")
    assert list(spool.outbox.iterdir()) == []
    assert spool.files(spool.inbox) == sorted(spool.dropped)
    outbox.come()
    running.wait_for("done", 3)
    assert running.stop() == 0
    spool.check_exactly_once(expected)


def test_a_share_that_is_away_at_the_start_is_waited_for(spool, start, share, undisturbed):
    """Nothing is set up in its place, not even after a restart."""
    expected = undisturbed(pair_by_pair)
    inbox, outbox = share(spool.inbox), share(spool.outbox)
    assert spool.once().returncode == 0
    pair_by_pair(spool)
    inbox.go()
    outbox.go()
    assert spool.once().returncode == 75
    running = start()
    running.wait_for("lane paused")
    assert list(spool.inbox.iterdir()) == list(spool.outbox.iterdir()) == []
    inbox.come()
    outbox.come()
    running.wait_for("done", 3)
    assert running.stop() == 0
    spool.check_exactly_once(expected)


def test_drops_after_a_remount_are_noticed_at_once(spool, start, frozen_disk):
    """A watch on what was mounted before sees nothing of it, and does not say so."""
    inbox = frozen_disk(spool.inbox)
    running = start("--set", "scan.remote=1h")
    running.wait_for("watching", lane="inpaint")
    inbox.unmount()
    inbox.mount()
    time.sleep(4)
    spool.drop_pair("photo")
    running.wait_for("done")


def test_a_folder_that_was_replaced_on_purpose_is_adopted_while_the_service_runs(
    spool, start, eventually
):
    running = start()
    running.wait_for("watching", lane="inpaint")
    spool.outbox.rename(spool.root / "old-outbox")
    spool.outbox.mkdir()
    spool.drop_pair("photo")
    running.wait_for("lane paused")
    assert eventually(lambda: lane(spool)["paused"])
    assert "retouchd adopt inpaint" in lane(spool)["remedy"]
    assert list(spool.outbox.iterdir()) == []
    assert spool.retouchd("adopt", "inpaint").returncode == 0
    running.wait_for("done")
    assert running.stop() == 0
    assert spool.undated(spool.outbox) == ["photo.png"]


def test_an_inbox_that_was_replaced_is_adopted_and_its_old_jobs_end(spool, start, pictures):
    spool.drop("old.png", pictures.texture(1))
    running = start("--set", "scan.remote=1s")
    running.wait_for("waiting")
    spool.inbox.rename(spool.root / "old-inbox")
    spool.inbox.mkdir()
    running.wait_for("lane paused")
    assert [job["state"] for job in spool.jobs()] == ["waiting"]
    assert spool.retouchd("adopt", "inpaint").returncode == 0
    running.wait_for("cancelled", file="old.png")
    spool.drop_pair("new")
    running.wait_for("done", file="new.png")
    assert (spool.root / "old-inbox" / "old.png").exists()


@pytest.mark.soak
def test_an_archive_that_vanishes_between_publishing_and_filing(spool, start, share, undisturbed):
    expected = undisturbed(pair_by_pair)
    archive = share(spool.archive)
    running = start()
    running.wait_for("watching", lane="inpaint")
    archive.go()
    pair_by_pair(spool)
    running.wait_for("lane paused")
    assert list(spool.archive.iterdir()) == []
    assert spool.files(spool.inbox) == sorted(spool.dropped)
    running.kill()
    archive.come()
    assert spool.once().returncode == 0
    spool.check_exactly_once(expected)


@pytest.mark.soak
def test_a_share_that_comes_and_goes_over_and_over(spool, start, share, undisturbed, tmp_path):
    def fill(spool):
        for number in range(10):
            spool.drop_pair(f"photo{number}", seed=number)

    expected = undisturbed(fill)
    outbox = share(spool.outbox)
    running = start()
    running.wait_for("watching", lane="inpaint")
    for number in range(10):
        spool.drop_pair(f"photo{number}", seed=number)
        outbox.go()
        running.wait_for("lane paused", number + 1)
        time.sleep(0.5)
        outbox.come()
        running.wait_for("lane resumed", number + 1)
    running.wait_for("done", 10)
    assert running.stop() == 0
    subprocess.run(["umount", "-l", spool.outbox], check=True, timeout=30)
    assert spool.files(spool.outbox) == []
    outbox.come()
    spool.check_exactly_once(expected)
