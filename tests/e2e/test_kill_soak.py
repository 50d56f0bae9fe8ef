"""Hundreds of SIGKILLs, at random times and at every commit; after a restart every pair is done
exactly once."""

from __future__ import annotations

import random

import pytest

from helpers.victim import kill_again_and_again, kill_at_commits

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
    lives = (chance.choice((0.6, 1.0, 1.4)) + chance.uniform(0, 0.6) for _ in range(25))
    kill_again_and_again(start, lives)
    finish(spool, expected)


@pytest.mark.parametrize("moment", range(1, 16))
def test_killed_at_every_commit_of_a_thread(spool, inject, undisturbed, moment):
    expected = undisturbed(fill(4))
    fill(4)(spool)
    kill_at_commits(spool, inject, moment)
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
    kill_again_and_again(start, (1.0 + chance.uniform(0, 0.8) for _ in range(15)))
    finish(spool, expected)
