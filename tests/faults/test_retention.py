"""Promise 15: retention deletes only what it may, and a dry run says exactly what.

Three lanes full of finished work get random ages and rules, and people who edit, replace, take
away, link and plant things; retention goes by clocks that jump. What it may delete is worked out by
`helpers.keeping`, from the words of config.example.yaml and without the product's code.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from helpers.inventory import Inventory
from helpers.keeping import DAY
from helpers.killed import Killed
from helpers.running import Running, eventually
from helpers.shim import KILL, Fault, dies_of
from helpers.spool import Lanes
from helpers.standing import pruned_at
from helpers.studio import file, product
from helpers.wall_clock import WallClock

JUMPS = (0.0, 0.05, 2.9, 10.0, 29.0, 31.0, 200.0, 400.0, -0.05, -10.0, -400.0)
STEPS, QUICK_STEPS = 3, 2
KILLS = "15 prunes killed, by the call"
CALLS = {"unlink": 30, "fsync_folder": 12, "pwrite": 24, "fdatasync": 12, "open": 200, "stat": 60}
"""How many of each a prune makes, about: its hands on the lanes' folders, the command on its
ledger."""
QUICK_BLOWS = [("unlink", 2), ("fdatasync", 2), ("unlink", 9)]
EVERY = ("--set", "lanes.*.retention.every=1s")
LAX = str(Path(__file__).parent / "lax_prune")


def play(inventory, steps, tally):
    for _ in range(steps):
        chance = inventory.chance
        jump = chance.choice(JUMPS)
        inventory.step(jump, force=chance.random() < 0.25, tally=tally)


def test_exactly_what_is_due_goes_whatever_people_and_clocks_do(storeroom, tmp_path, tally):
    play(Inventory(storeroom, WallClock(tmp_path), 4), QUICK_STEPS, tally)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_exactly_what_is_due_goes(storeroom, tmp_path, tally, seed):
    play(Inventory(storeroom, WallClock(tmp_path), seed), STEPS, tally)


@pytest.mark.soak
def test_it_would_be_noticed_if_nobody_looked_whether_a_file_has_changed(
    storeroom, tmp_path, tally
):
    clock = WallClock(tmp_path)
    clock.environment["PYTHONPATH"] = os.pathsep.join((LAX, clock.environment["PYTHONPATH"]))
    inventory = Inventory(storeroom, clock, 4)
    with pytest.raises(AssertionError):
        play(inventory, STEPS, tally)


class Day:
    """A lane whose service prunes all the time, and to which photos come on one and the same day,
    whatever its clock says."""

    def __init__(self, folder, clock):
        self.clock, self.lanes = clock, Lanes(folder / "root", state=str(folder / "state"))
        # The originals of cut-outs are but the lesser part of a lane's files.
        keep = {"archive": {"max_age": "30d"}, "every": "1s"}
        self.spool = self.lanes.lane(
            "cuts", task="matte", matte={"output": "all", "bg_color": "white"}, retention=keep
        )
        self.running = Running(self.lanes, environment=clock.environment)
        self._photos = 0

    def goes_on(self, jump):
        """Set the clock, drop a photo, and have retention look at it twice when it is done."""
        self.clock.step(jump * DAY)
        self._photos += 1
        self.spool.drop(f"photo{self._photos}.png", file(product(self._photos)))
        self.running.wait_for("done", self._photos)
        for _ in range(2):
            said, at = self._braked(), self.clock.now()
            assert eventually(
                lambda said=said, at=at: self._braked() > said or self._pruned_at() > at, 120
            )

    def _braked(self):
        return sum(line["event"] == "prune braked" for line in [*self.running.lines])

    def _pruned_at(self):
        return pruned_at(self.lanes.root.parent / "state")

    def check(self, tally):
        """Of today's photos nothing is gone."""
        assert self.running.stop() == 0
        assert not [line for line in self.running.lines if line["event"] == "pruned"]
        assert len(self.spool.files(self.spool.archive)) == self._photos
        assert len(self.spool.files(self.spool.outbox)) == 3 * self._photos
        tally.counts["15 photos that came while the clock jumped"]["all there"] += self._photos


def walk(tmp_path, tally, jumps):
    day = Day(tmp_path, WallClock(tmp_path))
    try:
        for jump in jumps:
            day.goes_on(jump)
        day.check(tally)
    finally:
        day.running.close()


def test_what_came_today_stays_whatever_the_clock_does(tmp_path, tally):
    """It stands right, a year behind, right again, and a year ahead."""
    walk(tmp_path, tally, (0.0, -400.0, 400.0, 400.0))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8))
def test_what_came_today_stays_whatever_clocks_do(tmp_path, tally, seed):
    chance, stands, jumps = random.Random(seed), 0.0, [0.0]
    for _ in range(7):
        to = chance.choice((0.0, 0.0, -400.0, 400.0, chance.uniform(-400, 400)))
        jumps.append(to - stands)
        stands = to
    walk(tmp_path, tally, jumps)


def strike(killed, tally, blows):
    """Strike the blows one after the other, then let it finish; gives how many killed."""
    kills = 0
    for call, number in blows:
        if killed.strike(call, number):
            kills += 1
            tally.add(KILLS, call, number=number)
    assert killed.finish(tally) == set()
    return kills


def test_killed_again_and_again_it_ends_as_if_it_had_not_been(storeroom, tmp_path, shim, tally):
    killed = Killed(storeroom, tmp_path, shim, 2, aged_only=True)
    assert strike(killed, tally, QUICK_BLOWS) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_killed_at_any_call(storeroom, tmp_path, shim, tally, seed):
    chance = random.Random(seed)
    killed = Killed(storeroom, tmp_path, shim, seed, aged_only=True)
    calls = [chance.choice([*CALLS, "unlink"]) for _ in range(4)]
    strike(killed, tally, [(call, chance.randint(1, CALLS[call])) for call in calls])


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12))
def test_killed_where_sizes_decide_it_never_deletes_more(storeroom, tmp_path, shim, tally, seed):
    """What a killed prune has deleted already counts for the next."""
    chance = random.Random(seed)
    killed = Killed(storeroom, tmp_path, shim, seed)
    for _ in range(3):
        if killed.strike("unlink", chance.randint(2, 12)):
            tally.add(KILLS, "unlink, by sizes")
    killed.finish(tally)
    killed.check_meanwhile()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_some_time(storeroom, tmp_path, shim, tally, seed):
    """The command dies while its hand is deleting; the hand dies with it."""
    chance = random.Random(seed)
    killed = Killed(storeroom, tmp_path, shim, seed, aged_only=True)
    for _ in range(3):
        if killed.strike_at(chance.expovariate(50)):
            tally.add(KILLS, "some time")
    assert killed.finish(tally) == set()


@pytest.mark.soak
@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("call", ["unlink", "fdatasync"])
def test_the_service_whose_hands_die_or_that_dies_itself(
    storeroom, tmp_path, shim, tally, call, number
):
    """A hand deletes so many files and dies, and the service takes another one; or the service is
    killed at a commit and started anew."""
    killed = Killed(storeroom, tmp_path, shim, 20 + number, aged_only=True)
    store, due = killed.store, killed.due
    # Its own jobs are not what this is about.
    with store.ledger() as db:
        db.execute("UPDATE jobs SET state = 'cancelled' WHERE id = ?", (store.again,))
    where = str(store.state) if call == "fdatasync" else str(store.top)
    action = KILL if call == "fdatasync" else dies_of(signal.SIGKILL)
    force = ("--set", "lanes.*.retention.brake=1")
    with shim.fault(Fault((call,), action, where, 2 * number, 2 * number)):
        running = Running(store.lanes, *EVERY, *force, environment=shim.environment)
        shim.serve(running.process.pid)
        try:
            if call == "fdatasync":
                running.process.wait(120)
            else:
                running.wait_for("prune trouble", timeout=120)
        finally:
            running.close()
        tally.add(KILLS, f"{call}, of the service")
    running = Running(store.lanes, *EVERY, *force)
    try:
        running.wait_for("watching", len(store.folders))
        assert eventually(lambda: killed.gone() == due, 120)
        assert running.stop() == 0
    finally:
        running.close()
    killed.check_meanwhile()
