"""Promise 2: what was said to be done survives a power cut.

The lanes' folders and the state folder lie on file systems in files, whose power is cut by the
ioctl behind `xfs_io -x -c shutdown`: with what the journal holds in memory lost, or written at the
last moment. After unmounting, mounting (which replays the journal) and before any recovery, every
job whose `done` was in the log before the cut must be `done` in the ledger, its outputs and its
originals whole. Then the service goes on, until the next cut or the end.

What a disk loses that lies about its own cache is not simulated: the host's page cache survives.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from helpers.campaign import PATIENT, Campaign, tagged
from helpers.disks import FLUSH, NO_FLUSH, Disk
from helpers.running import Running
from helpers.shim import PRETEND, Fault
from helpers.standing import copied_rows

PROMISE = "2 power cuts, by file system and journal"
KINDS = ("ext4", "xfs")
TAGS = ("x", "y", "z")
EVENTS = ("running", "published", "done")
SETS = 34
"""Three cuts each."""
LAX = str(Path(__file__).parent / "lax_ledger")


def drops(campaign):
    """Two pairs, and the cut-outs with their companions."""
    for number, suffix in enumerate((".png", ".jpg")):
        campaign.inpaint.drop_pair(f"pair{number}", suffix, seed=number)
    campaign.drop_cutouts()


def drop_tagged(campaign, tag):
    for number, suffix in enumerate((".png", ".jpg")):
        campaign.inpaint.drop_pair(f"pair{tag}{number}", suffix, seed=number)
    campaign.drop_cutouts(tag)


class Lost(AssertionError):
    """A promise was broken by the cut."""


class Plant:
    """Folders on disks whose power can be cut.

    apart: the ledger lies on a disk of its own. old: the folders were set up before.
    """

    def __init__(self, tmp_path, kind, *, apart, expected, model="flat", tags=TAGS, old=False):
        self.kind, self.apart = kind, apart
        self.disks = [Disk(kind, tmp_path / "mnt", tmp_path / "mnt.img")]
        if apart:
            self.disks.append(Disk(kind, tmp_path / "state", tmp_path / "state.img"))
        state = tmp_path / "state" / "retouchd" if apart else tmp_path / "mnt" / "state"
        self.campaign = Campaign(tmp_path / "mnt" / "root", model, state)
        self.expected = tagged(expected, list(tags))
        if old:
            self.campaign.finish()
        for tag in tags:
            drop_tagged(self.campaign, tag)
        for disk in self.disks:
            disk.sync()

    def run_until_cut(self, chance, how, environment=None, events=EVENTS):
        """Cut the power some time after some line of the log; gives the jobs that were said to be
        done by then, and those whose outputs were said to be out."""
        running = Running(self.campaign.lanes, *PATIENT, environment=environment)
        try:
            self._wait(running, chance.choice(events), chance.randint(1, 3))
            time.sleep(chance.choice((0, 0, 0.005, 0.03, 0.2)))
            said = {kind: self._said(running, kind) for kind in ("published", "done")}
            for disk in reversed(self.disks):
                disk.cut(how)
        finally:
            running.close()
        for disk in self.disks:
            disk.unmount()
            disk.mount()
        return said

    def _wait(self, running, event, count):
        deadline = time.monotonic() + 900
        while len(self._said(running, event)) < count and time.monotonic() < deadline:
            if self._all_done() or running.process.poll() is not None:
                return
            time.sleep(0.002)

    def _said(self, running, event):
        lines = list(running.lines)
        return {line["job"] for line in lines if line["event"] == event and "job" in line}

    def _all_done(self):
        return not any(spool.files(spool.inbox) for spool in self.campaign.spools.values())

    def check_nothing_lost(self, said):
        """Of what was said before the cut. Raises Lost."""
        rows = {row.id: row for row in copied_rows(self.campaign.state_folder)}
        for job in said["done"] | said["published"]:
            self._check_job(job, rows.get(job), done=job in said["done"])
        for name, digest in self._visible().items():
            if self._wanted().get(name) != digest:
                raise Lost(f"{name} is visible and torn")

    def _check_job(self, job, row, *, done):
        states = ("done",) if done else ("published", "done")
        if row is None or row.state not in states:
            raise Lost(f"job {job} was {states[0]}, and now is {row and row.state}")
        folder = f"{row.lane}/{row.role}"
        stem = row.name.rpartition(".")[0]
        for name, digest in self.expected[folder].items():
            if name.startswith((f"{stem}.", f"{stem}_")) and self._visible().get(
                f"{folder}/{name}"
            ) not in (digest,):
                raise Lost(f"{name} of job {job} was {row.state}, and is lost or torn")
        spool = self.campaign.spools[row.lane]
        archived = spool.digests(spool.archive)
        if done and archived.get(row.name) != spool.dropped[row.name]:
            raise Lost(f"the original {row.name} of job {job} is not in the archive")

    def _visible(self):
        # Hidden temporary files lie at the top, where nothing is left of a path without its date.
        found = self.campaign.results()
        return {
            f"{folder}/{n}": d for folder, files in found.items() for n, d in files.items() if n
        }

    def _wanted(self):
        wanted = self.expected
        return {f"{folder}/{n}": d for folder, files in wanted.items() for n, d in files.items()}

    def finish(self):
        self.campaign.finish()
        self.campaign.check_exactly_one(self.expected)

    def close(self):
        for disk in self.disks:
            disk.close()


@pytest.fixture
def make_plant(tmp_path, expected_of):
    made = []

    def make(kind, *, model="flat", **how):
        expected = expected_of(drops, model)
        made.append(Plant(tmp_path, kind, expected=expected, model=model, **how))
        return made[-1]

    yield make
    for plant in made:
        plant.close()


def play(plant, chance, tally, reader, cuts, events=EVENTS):
    reader(plant.campaign.root)
    for _ in range(cuts):
        how = chance.choice((FLUSH, NO_FLUSH, NO_FLUSH))
        said = plant.run_until_cut(chance, how, events=events)
        plant.check_nothing_lost(said)
        where = "ledger apart" if plant.apart else "all on one"
        journal = "journal lost" if how == NO_FLUSH else "journal flushed"
        tally.add(PROMISE, f"{plant.kind}, {where}, {journal}", done=len(said["done"]))
        tally.counts["2 jobs acknowledged before a cut"]["done"] += len(said["done"])
        tally.counts["2 jobs acknowledged before a cut"]["published"] += len(said["published"])
    plant.finish()


@pytest.mark.parametrize(
    ("kind", "apart"), [("ext4", False), pytest.param("xfs", True, marks=pytest.mark.soak)]
)
def test_what_was_done_survives_a_power_cut(make_plant, tally, reader, kind, apart):
    plant = make_plant(kind, apart=apart, tags=TAGS[:1])
    play(plant, random.Random(kind), tally, reader, 1, events=("done",))
    assert tally.counts["2 jobs acknowledged before a cut"]["done"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SETS))
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_done_survives_power_cuts(make_plant, tally, reader, kind, seed):
    """Three cuts in a row: the recovery is cut off as well."""
    chance = random.Random(f"{kind} {seed}")
    model = "classical" if seed % 5 == 0 else "flat"
    play(make_plant(kind, apart=seed % 2 == 1, model=model), chance, tally, reader, 3)


class TestItWouldBeNoticed:
    """The same test, and a service that does one thing wrong: it has to fail."""

    def find(self, make_plant, kind, environment, tries=3):
        """What the first cut that does harm has done."""
        chance = random.Random(4)
        plant = make_plant(kind, apart=True, old=True)
        for _ in range(tries):
            said = plant.run_until_cut(chance, NO_FLUSH, environment, events=("done",))
            try:
                plant.check_nothing_lost(said)
            except Lost as lost:
                return str(lost)
        return None

    @pytest.mark.soak
    @pytest.mark.parametrize("kind", KINDS)
    def test_if_the_ledger_did_not_wait_for_the_disk(self, make_plant, kind):
        path = os.pathsep.join((LAX, os.environ["PYTHONPATH"]))
        assert self.find(make_plant, kind, {"PYTHONPATH": path})

    @pytest.mark.soak
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("call", ["fsync", "fsync_folder"])
    def test_if_outputs_or_folders_were_not_synced(self, make_plant, shim, kind, call):
        with shim.fault(Fault((call,), PRETEND, "/mnt/")):
            assert self.find(make_plant, kind, shim.environment)
