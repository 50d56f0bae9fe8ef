"""Hundreds of SIGKILLs, at random times and at every commit; after a restart every pair is done
exactly once."""

from __future__ import annotations

import random
import subprocess
import time

import pytest

pytestmark = pytest.mark.soak
SUFFIXES = (".png", ".jpg", ".webp", ".tif", ".bmp")


def fill(pairs):
    def drop(spool):
        for number in range(pairs):
            spool.drop_pair(f"photo{number}", SUFFIXES[number % len(SUFFIXES)], seed=number)

    return drop


def finish(spool, expected):
    done = spool.once()
    assert done.returncode == 0, done.stderr
    spool.check_exactly_once(expected)
    left = list(spool.root.rglob(".retouchd-*.tmp"))
    assert left == [], "temporary files were left behind"


@pytest.mark.parametrize("seed", range(12))
def test_killed_at_random_times(spool, start, undisturbed, seed):
    """25 kills a set; short lives hit the recovery itself, too."""
    expected = undisturbed(fill(10))
    fill(10)(spool)
    chance = random.Random(seed)
    for _ in range(25):
        running = start()
        time.sleep(chance.choice((0.6, 1.0, 1.4)) + chance.uniform(0, 0.6))
        running.kill()
    finish(spool, expected)


@pytest.mark.parametrize("moment", range(1, 16))
def test_killed_at_every_commit_of_a_thread(spool, inject, undisturbed, moment):
    """Before the commit reaches the disk, so that the deed may be done and the ledger not know."""
    expected = undisturbed(fill(4))
    fill(4)(spool)
    words = ("--set", "scan.settle=200ms", "--set", "hands=1")
    command = spool.command("once", more=words)
    for _ in range(6):
        ended = subprocess.run(
            [*inject(f"fdatasync:signal=SIGKILL:when={moment}"), *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
        assert ended.returncode in (0, -9)
    finish(spool, expected)


@pytest.mark.parametrize("folders", [("archive",), ("outbox", "archive")])
@pytest.mark.parametrize("seed", range(3))
def test_killed_while_copying_across_file_systems(spool, start, mount, undisturbed, folders, seed):
    """Where a move is a copy and a deletion, there is a moment with two of everything."""
    expected = undisturbed(fill(8))
    for folder in folders:
        mount(spool.root / folder)
    fill(8)(spool)
    chance = random.Random(seed)
    for _ in range(15):
        running = start()
        time.sleep(1.0 + chance.uniform(0, 0.8))
        running.kill()
    finish(spool, expected)
