"""Promise 13: a file that kills the process which works on it is tried at most three times (a look
at the inbox and two attempts), then it is set aside, and the queue goes on all the while.

The shim lets whoever reads such a file die of a signal, as by a fault in a decoder, from the first
look on or only where it is worked on; and in a control group the kernel itself kills for want of
memory. Beside these, tests/e2e/test_poison.py and test_blame.py: restarts, hangs, and deaths of the
service.
"""

from __future__ import annotations

import signal

import cv2
import numpy as np
import pytest

from helpers.cage import Cage
from helpers.campaign import subject
from helpers.pictures import blob, texture
from helpers.running import Running
from helpers.shim import Fault, dies_of
from helpers.spool import Lanes

PROMISE = "13 hands that died, by the file's role and the signal"
SIGNALS = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGSYS", "SIGKILL")
ROLES = {"photo": "victim.png", "mask": "victim_mask.png"}
ROLES |= {"cutout": "victim.png", "rough": "victim_mask.png"}
WHEN = {"looked at": ("read", 1), "worked on": ("open", 2)}
MOST, GOOD = 3, 3
SMALL = 900 << 20
"""Bytes for the service and its hands: enough, if photos are not all decoded at once."""
PATIENCE = 600.0
"""Only to end what hangs."""


class Plant:
    """A lane of each task, and one file that is poison, in one role, among good ones."""

    def __init__(self, folder, role):
        self.role, self.lanes = role, Lanes(folder / "root")
        self.inpaint = self.lanes.lane("inpaint", model="flat")
        self.matte = self.lanes.lane("cutouts", task="matte", matte={"review_below": 0.0})
        self.spool = self.inpaint if role in ("photo", "mask") else self.matte
        self.poison = f"{self.spool.root}/inbox/{ROLES[role]}"
        self._good = 0

    def drop(self):
        """Half of the good ones come before the poison, half behind it."""
        self.drop_good(GOOD)
        photo, mask = subject(1)
        self.spool.drop("victim_mask.png", mask)
        self.spool.drop("victim.png", photo)
        self.drop_good(GOOD)

    def drop_good(self, count):
        photo, mask = subject(2)
        for _ in range(count):
            self._good += 1
            self.inpaint.drop_pair(f"good{self._good:02d}", seed=self._good)
            self.matte.drop(f"good{self._good:02d}_mask.png", mask)
            self.matte.drop(f"good{self._good:02d}.png", photo)

    def play(self, running, again=2):
        """Until the poison is set aside and all others are done, also those that come later."""
        self.drop()
        aside = running.wait_for("quarantined", file="victim.png", timeout=PATIENCE)
        running.wait_for("done", 2 * self._good, timeout=PATIENCE)
        self.drop_good(again)
        running.wait_for("done", 2 * self._good, timeout=PATIENCE)
        assert running.process.poll() is None
        assert running.stop() == 0
        return aside["why"]

    def check(self):
        """Nobody else was held up or blamed; every original is kept."""
        jobs = {(job["lane"], job["name"]): job for job in self.lanes.jobs()}
        victim = jobs.pop((self.spool.root.name, "victim.png"))
        assert victim["state"] == "quarantined"
        assert victim["attempts"] <= MOST
        assert all(job["state"] == "done" for job in jobs.values())
        assert all((job["attempts"], job["crashes"]) == (1, 0) for job in jobs.values())
        for spool in (self.inpaint, self.matte):
            assert spool.files(spool.inbox) == []
            kept = {**spool.digests(spool.archive), **spool.digests(spool.failed)}
            assert spool.dropped.items() <= kept.items()
        texts = list(self.spool.failed.rglob("victim.png.error.txt"))
        assert len(texts) == 1
        return " ".join(texts[0].read_text(encoding="utf-8").split())


def play(folder, shim, tally, role, number, when, *options):
    """One poison; gives how many hands died of it."""
    plant = Plant(folder, role)
    call, first = WHEN[when]
    with shim.fault(Fault((call,), dies_of(number), plant.poison, first)):
        running = Running(plant.lanes, *options, environment=shim.environment)
        try:
            why = plant.play(running)
        finally:
            running.close()
        deaths = shim.felt().hits
    name = signal.Signals(number).name
    tally.counts[PROMISE][f"{role}, {name}, {when}"] += deaths
    text = plant.check()
    assert "made its process die" in why
    assert "made its process die" in text
    assert name in text
    return deaths


@pytest.mark.parametrize("role", ["photo", pytest.param("rough", marks=pytest.mark.soak)])
def test_a_file_that_kills_is_set_aside_and_the_queue_goes_on(tmp_path, shim, tally, role):
    assert 1 < play(tmp_path, shim, tally, role, signal.SIGSEGV, "looked at") <= MOST


@pytest.mark.soak
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("when", WHEN)
def test_whatever_it_kills_with(tmp_path, shim, tally, role, name, when):
    number = getattr(signal, name)
    assert 1 < play(tmp_path, shim, tally, role, number, when) <= MOST


@pytest.mark.soak
def test_it_would_be_noticed_if_it_were_tried_more_often(tmp_path, shim, tally):
    patient, before = ("--set", "retry.crashes=6"), tally.counts[PROMISE].total()
    with pytest.raises(AssertionError):
        play(tmp_path, shim, tally, "photo", signal.SIGSEGV, "looked at", *patient)
    assert tally.counts[PROMISE].total() - before > MOST


@pytest.fixture
def cage(tmp_path):
    made = Cage(f"retouchd-test-{tmp_path.name}")
    yield made
    made.close()


class TestOutOfMemory:
    """The kernel kills a hand, which offers itself; never the service."""

    def play(self, plant, cage, tally, size):
        running = Running(plant.lanes, "--set", "hands=3", under=cage.under)
        try:
            plant.drop_good(1)
            running.wait_for("done", 2, timeout=PATIENCE)
            cage.limit(cage.used + (96 << 20))
            # Poison by its size alone.
            large = cv2.resize(texture(3), size, interpolation=cv2.INTER_LINEAR)
            plant.inpaint.drop("victim_mask.png", cv2.resize(blob(), size))
            plant.inpaint.drop("victim.png", np.ascontiguousarray(large))
            plant.drop_good(2)
            aside = running.wait_for("quarantined", file="victim.png", timeout=PATIENCE)
            plant.drop_good(1)
            running.wait_for("done", 8, timeout=PATIENCE)
            kills = cage.kills
            assert running.stop() == 0
        finally:
            running.close()
        tally.counts[PROMISE]["photo, out of memory"] += kills
        return aside["why"], kills

    def test_a_photo_that_the_machine_has_no_memory_for(self, tmp_path, cage, tally):
        plant = Plant(tmp_path, "photo")
        why, kills = self.play(plant, cage, tally, (7000, 6000))
        assert "out of memory" in why
        assert 1 <= kills <= MOST
        assert (
            plant.spool.digests(plant.spool.failed)["victim.png"]
            == (plant.spool.dropped["victim.png"])
        )

    @pytest.mark.soak
    def test_good_photos_in_a_small_machine_wait_for_each_other(self, tmp_path, cage, tally):
        """Together they would take more than there is, and each would look like poison."""
        cage.limit(SMALL)
        plant = Plant(tmp_path, "photo")
        large = cv2.resize(texture(5), (7000, 5000), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros((5000, 7000), np.uint8)
        mask[100:200, 100:200] = 255
        for number in range(6):
            plant.inpaint.drop(f"good{number}_mask.png", mask)
            plant.inpaint.drop(f"good{number}.jpg", large)
        done = plant.lanes.retouchd("once", fast=True, timeout=PATIENCE, under=cage.under)
        assert done.returncode == 0, done.stderr
        assert cage.kills == 0
        jobs = plant.lanes.jobs()
        assert [job["state"] for job in jobs] == ["done"] * 6
        assert all((job["attempts"], job["crashes"]) == (1, 0) for job in jobs)
        tally.counts["13 good photos in little memory"]["done"] += len(jobs)
