"""Promise 1: killed anywhere, every pair ends exactly once.

One case is a chain of kills on one set of drops, so that recoveries are killed, too: in some state,
before some system call, in the middle of a write, after some line of the log. Then a clean run.
"""

from __future__ import annotations

import errno
import random
import time
from functools import partial

import pytest

from helpers.campaign import PATIENT, Campaign
from helpers.shim import KILL, TORN, Fault
from helpers.standing import standing
from helpers.victim import Victim

PROMISE = "1 states of jobs when killed"
WAYS = ("call", "call", "torn", "time", "time", "time", "kernel")
"""Half at a system call (most by the shim, some by the kernel itself), half at some time."""
SLOW_TO_RETRY = (*PATIENT, "--set", "retry.first=3s")
"""So that jobs which wait for their next try are met."""
MOST = {
    **{"pwrite": 200, "fdatasync": 50, "open": 120, "write": 24, "fsync": 14, "fsync_folder": 14},
    **{"rename": 14, "mkdir": 8, "unlink": 2},
}
"""About how many such calls a run makes, the last ones left out."""
LINES = 32
"""About how many lines it says."""
QUICK = [("pwrite", 120), ("rename", 9), ("fsync_folder", 3), ("write", 4), None, None]
"""For a chain that hits something each time; None: at some time."""
KERNEL = ("write", "pwrite64", "fsync", "fdatasync", "renameat2", "unlinkat", "mkdirat", "openat")
STATES = {
    *("no job yet", "waiting", "ready", "running", "running, named", "published", "done"),
    *("failed", "quarantined", "quarantined, to be moved", "cancelled"),
}


def drops(campaign):
    campaign.drop()
    campaign.later()


class Killer:
    """Kills runs of one campaign, each in another way."""

    def __init__(self, campaign, shim, inject, chance):
        self.campaign, self.shim, self._inject, self._chance = campaign, shim, inject, chance
        self.root = str(campaign.root)

    def strike(self, way, tired):
        """One run that is killed; gives what it was killed at, None where it ended before.

        tired: how many runs were killed before, each of which leaves less to do.
        """
        if way == "kernel":
            return self._by_the_kernel()
        if way == "time":
            return self._at_some_time(LINES // (1 + tired))
        call = self._chance.choice(("write", "pwrite") if way == "torn" else tuple(MOST))
        number = self._chance.randint(1, 1 + MOST[call] // (1 + tired))
        return self.at(Fault((call,), TORN if way == "torn" else KILL, self.root, number))

    def at(self, fault):
        """A run that is killed at a call."""
        # Sometimes after an error, so that there are jobs which wait for their next try.
        call = self._chance.choice(("fsync", "rename", "write"))
        error = Fault((call,), errno.EIO, self.root, first := self._chance.randint(6, 14), first)
        with self.shim.fault(fault, *([error] if self._chance.random() < 0.4 else [])):
            victim = Victim(self.campaign.lanes, *SLOW_TO_RETRY, environment=self.shim.environment)
            self.shim.serve(victim.process.pid)
            killed = victim.wait()
            return self.shim.felt().what.partition(" ")[0] if killed else None

    def _at_some_time(self, lines):
        victim = Victim(self.campaign.lanes, *SLOW_TO_RETRY)
        victim.wait_for_lines(self._chance.randint(0, lines))
        time.sleep(self._chance.expovariate(30))
        return "some time" if victim.kill() else None

    def _by_the_kernel(self):
        call, number = self._chance.choice(KERNEL), self._chance.randint(1, 14)
        number *= 40 if call == "openat" else 1
        log = self.campaign.root.parent / "strace"
        log.write_text("")
        under = self._inject(f"{call}:signal=SIGKILL:when={number}")
        under[under.index("/dev/null")] = str(log)
        victim = Victim(self.campaign.lanes, *SLOW_TO_RETRY, under=under)
        while victim.lives and "killed by SIGKILL" not in log.read_text(errors="replace"):
            time.sleep(0.01)
        # It may have been a hand: the service shall have no time to notice.
        return f"{call} (strace)" if victim.kill() or victim.process.returncode == -9 else None


def play(campaign, expected, tally, blows):
    """Strike the blows one after the other; gives how many killed."""
    campaign.drop()
    kills = 0
    for number, blow in enumerate(blows):
        if at := blow(kills):
            kills += 1
            tally.add(PROMISE, standing(campaign.state_folder), kill=at)
            tally.counts["1 kills by what they struck"][at] += 1
        if number == 0:
            campaign.later()
    campaign.finish()
    campaign.check_exactly_one(expected)
    return kills


def test_killed_at_system_calls_and_at_some_time(
    campaign, shim, inject, expected_of, tally, reader
):
    """Six kills in a row, then a clean run."""
    watcher = reader(campaign.root)
    killer = Killer(campaign, shim, inject, random.Random(11))
    blows = [
        partial(killer.strike, "time")
        if fixed is None
        else lambda _, fixed=fixed: killer.at(Fault(fixed[:1], KILL, killer.root, fixed[1]))
        for fixed in QUICK
    ]
    assert play(campaign, expected_of(drops), tally, blows) >= 3
    assert watcher.reads > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(240))
def test_killed_anywhere(tmp_path, shim, inject, expected_of, tally, reader, seed):
    """Three kills in a row; a fifth of the cases with the default model."""
    model = "classical" if seed % 5 == 0 else "flat"
    campaign, chance = Campaign(tmp_path / "root", model), random.Random(seed)
    reader(campaign.root)
    killer = Killer(campaign, shim, inject, chance)
    blows = [partial(killer.strike, chance.choice(WAYS)) for _ in range(3)]
    play(campaign, expected_of(drops, model), tally, blows)


@pytest.mark.soak
def test_that_was_in_every_state(tally):
    """Runs after the kills: a campaign that met only idle services would prove little."""
    kills = sum(tally.counts["1 kills by what they struck"].values())
    if kills < 300:
        pytest.skip(f"only {kills} kills were tried in this session")
    assert set(tally.counts[PROMISE]) >= STATES
