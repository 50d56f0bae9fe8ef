"""Promise 6: a mount that is lost stops its lane: not one file is written below the mount point,
nothing is believed to be deleted, and on its return everything goes on.

A lane's folders, or one of them, are unmounted lazily at some moment, again and again, so that an
empty folder is in their place; sometimes the service is killed meanwhile and starts without them.
Beside these, tests/e2e/test_lost_root.py has single losses, folders replaced on purpose, and
remounts.
"""

from __future__ import annotations

import json
import random
import subprocess
import time

import pytest

from helpers.campaign import PATIENT, Campaign, tagged
from helpers.pictures import blob, texture
from helpers.running import eventually
from helpers.share import Share
from helpers.standing import rows

PROMISE = "6 mounts lost, by what was on them"
SOON = ("--set", "scan.remote=1s")
PLACES = {
    "both lanes": ("inpaint", "cutouts"),
    "a lane": ("inpaint",),
    "inbox": ("inpaint/inbox",),
    "outbox": ("inpaint/outbox",),
    "archive": ("inpaint/archive",),
    "failed": ("inpaint/failed",),
    "review": ("cutouts/review",),
}
TIMES = 20


def drops(campaign):
    drop_tagged(campaign, "")


def drop_tagged(campaign, tag):
    """Two pairs, what goes to quarantine, cut-outs in several files; a photo that waits."""
    for number, suffix in enumerate((".png", ".jpg")):
        campaign.inpaint.drop_pair(f"pair{tag}{number}", suffix, seed=number)
    campaign.inpaint.drop(f"bad{tag}.png", b"this is no picture")
    campaign.drop_cutouts(tag)


class Bound:
    """A local folder at another place, where events work."""

    def __init__(self, source, folder):
        self.source, self.folder = source, folder
        source.mkdir(parents=True)
        self.come()

    def come(self):
        done = subprocess.run(
            ["mount", "--bind", self.source, self.folder], timeout=30, check=False
        )
        if done.returncode:
            pytest.skip("mounting does not work here")

    def go(self):
        subprocess.run(["umount", "-l", self.folder], timeout=30, check=True)

    def close(self):
        subprocess.run(["umount", "-l", self.folder], capture_output=True, timeout=30, check=False)


class Plant:
    """Both lanes, some of their folders on mounts that come and go; the state is elsewhere."""

    def __init__(self, tmp_path, kind, place):
        self.campaign = Campaign(tmp_path / "root", "flat", tmp_path / "state")
        self.lanes = {path.partition("/")[0] for path in PLACES[place]}
        self.mounts = []
        try:
            for number, path in enumerate(PLACES[place]):
                self._mount(tmp_path, kind, number, path)
        except BaseException:
            self.close()
            raise

    def _mount(self, tmp_path, kind, number, path):
        folder, source = self.campaign.root / path, tmp_path / f"mounted{number}"
        inbox = folder / "inbox"
        if inbox.exists():
            inbox.rmdir()
        folder.mkdir(exist_ok=True)
        if kind == "share":
            self.mounts.append(Share(source, folder, tmp_path / f"share{number}.is"))
        else:
            self.mounts.append(Bound(source, folder))
        inbox.mkdir(exist_ok=True) if "/" not in path else None

    def go(self):
        for mount in self.mounts:
            mount.go()

    def come(self):
        for mount in self.mounts:
            mount.come()

    def close(self):
        for mount in self.mounts:
            mount.close()

    def paused(self):
        """The lanes that say so."""
        facts = json.loads((self.campaign.state_folder / "live.json").read_text())["lanes"]
        return {lane for lane, fact in facts.items() if fact["paused"]}

    def check_untouched(self):
        """Nothing is in the empty folders, and nothing that lay in the full ones is given up."""
        for mount in self.mounts:
            assert list(mount.folder.rglob("*")) == []
        found = rows(self.campaign.state_folder)
        assert [row for row in found if row.state == "cancelled"] == []

    def done(self, tags):
        found = {row.name: row.state for row in rows(self.campaign.state_folder)}
        ended = {"done": ("pair{}0.png", "pair{}1.jpg", "cut{}.png", "doubt{}.png")}
        ended["quarantined"] = ("bad{}.png",)
        return all(
            found.get(name.format(tag)) == state
            for state, names in ended.items()
            for name in names
            for tag in tags
        )


@pytest.fixture
def make_plant(tmp_path):
    made = []

    def make(kind, place):
        made.append(Plant(tmp_path, kind, place))
        return made[-1]

    yield make
    for plant in made:
        plant.close()


def lose(plant, start, running, chance, tally, place):
    """One loss at some moment, until the mounts are back; gives the service that runs then."""
    time.sleep(chance.choice((0, 0.05, 0.2, 0.5, 1.0, 2.0)) * chance.random())
    plant.go()
    if chance.random() < 0.15:
        running.kill()
        running.close()
        running = start()
        for lane in plant.lanes:
            running.wait_for("lane paused", lane=lane)
    standing = [row.state for row in rows(plant.campaign.state_folder) if row.lane in plant.lanes]
    # Not by the log: a lane may be paused still, because a job met the last loss late.
    assert eventually(lambda: plant.paused() == plant.lanes, 90), "".join(running.raw[-40:])
    time.sleep(chance.choice((0, 0.5, 1.5)))
    plant.check_untouched()
    plant.come()
    assert eventually(lambda: not plant.paused(), 90), "".join(running.raw[-40:])
    open_jobs = sum(state not in ("done", "quarantined") for state in standing)
    tally.add(PROMISE, place, open_jobs=open_jobs)
    return running


def play(plant, start_all, expected, tally, reader, chance, place, times):
    campaign = plant.campaign

    def start():
        return start_all(campaign.lanes, *PATIENT, *SOON)

    running = start()
    running.wait_for("watching", 2)
    reader(campaign.root)
    campaign.inpaint.drop("latewait.png", texture(7))
    running.wait_for("waiting", file="latewait.png")
    tags = [f"x{number}" for number in range(times)]
    for tag in tags:
        drop_tagged(campaign, tag)
        running = lose(plant, start, running, chance, tally, place)
    assert eventually(lambda: plant.done(tags), 300), "".join(running.raw[-40:])
    assert {row.state for row in rows(campaign.state_folder) if row.name == "latewait.png"} == {
        "waiting"
    }
    campaign.inpaint.drop("latewait_mask.png", blob())
    running.wait_for("done", file="latewait.png")
    assert running.stop() == 0
    wanted = tagged(expected, tags)
    late = "latewait.png"
    wanted["inpaint/outbox"][late] = campaign.results()["inpaint/outbox"][late]
    campaign.check_exactly_one(wanted)
    assert "cancelled" not in {row.state for row in rows(campaign.state_folder)}
    plant.go()
    plant.check_untouched()


def test_a_mount_that_is_lost_costs_nothing(start_all, make_plant, expected_of, tally, reader):
    """Once for a service that goes on, and once for one that is killed and starts without it."""
    plant, chance, place = make_plant("bound", "a lane"), random.Random(13), "a lane"
    play(plant, start_all, expected_of(drops), tally, reader, chance, place, 2)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["bound", "share"])
@pytest.mark.parametrize("place", PLACES)
def test_a_mount_that_is_lost_twenty_times_costs_nothing(
    start_all, make_plant, expected_of, tally, reader, kind, place
):
    chance = random.Random(f"{kind} {place}")
    plant = make_plant(kind, place)
    play(plant, start_all, expected_of(drops), tally, reader, chance, place, TIMES)
