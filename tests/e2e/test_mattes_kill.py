"""kill -9 at any moment of a matte lane's work: a photo ends as one output with all its files."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.spool import Spool
from helpers.studio import clutter, file, product, rough
from helpers.victim import Victim, kill_again_and_again, kill_at_commits

ALL = (
    *("--set", "lanes.matte.matte.output=all"),
    *("--set", "lanes.matte.matte.bg_color=white"),
)
Ends = dict[str, dict[str, str]]
soak = pytest.mark.soak


def fill(spool: Spool) -> None:
    """Two clear photos, two doubtful ones, and one with its mask."""
    for number in range(2):
        spool.drop(f"matte/clear{number}.png", file(product(number)))
        spool.drop(f"matte/doubtful{number}.jpg", file(clutter(number), "JPEG"))
    spool.drop("matte/masked.jpg", file(clutter(2), "JPEG"))
    spool.drop("matte/masked_mask.png", file(rough()))


def masks(spool: Spool) -> None:
    """For the doubtful ones, later."""
    for number in range(2):
        spool.drop(f"matte/doubtful{number}_mask.png", file(rough()))


def ends(spool: Spool) -> Ends:
    """What lies where; a text names its own inbox."""
    folders = (spool.outbox, spool.review, spool.archive, spool.failed)
    return {
        folder.name: {
            name: "text" if name.endswith(".txt") else digest
            for name, digest in spool.digests(folder).items()
        }
        for folder in folders
    }


def finish(spool: Spool) -> None:
    done = spool.once(*ALL)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def undisturbed_spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """After the photos, without any kill."""
    spool = Spool(tmp_path_factory.mktemp("undisturbed") / "root")
    fill(spool)
    finish(spool)
    return spool


@pytest.fixture(scope="module")
def of_photos(undisturbed_spool: Spool) -> Ends:
    """What lies where without any kill, after the photos."""
    found = ends(undisturbed_spool)
    assert len(found["review"]) == 8
    assert len(found["outbox"]) == 9
    return found


@pytest.fixture(scope="module")
def of_masks(undisturbed_spool: Spool, of_photos: Ends) -> Ends:
    """And then after the masks that came later."""
    masks(undisturbed_spool)
    finish(undisturbed_spool)
    return ends(undisturbed_spool)


def check(spool: Spool, expected: Ends, done: int) -> None:
    assert ends(spool) == expected
    assert spool.files(spool.inbox) == []
    states = [job["state"] for job in spool.jobs()]
    # A mask that waited for a moment lends its job to the photo's.
    assert states.count("done") == done
    assert set(states) <= {"done", "cancelled"}
    assert list(spool.root.rglob(".retouchd-*.tmp")) == []


def kill_over_and_over(start: Any, times: int, chance: random.Random) -> None:
    kill_again_and_again(start, (chance.uniform(0.5, 3.0) for _ in range(times)), *ALL)


@pytest.mark.parametrize(
    "state", [pytest.param("running", marks=soak), "published", pytest.param("done", marks=soak)]
)
def test_killed_as_soon_as_a_job_reaches_a_state(
    spool: Spool, start: Any, of_photos: Ends, state: str
) -> None:
    fill(spool)
    running = start(*ALL)
    running.wait_for(state, 2, lane="matte")
    running.kill()
    finish(spool)
    check(spool, of_photos, 5)


@pytest.mark.soak  # tests/faults has it, with cut-outs among the lanes
def test_killed_at_random_times_over_and_over(spool: Spool, start: Any, of_photos: Ends) -> None:
    fill(spool)
    kill_over_and_over(start, 4, random.Random(3))
    finish(spool)
    check(spool, of_photos, 5)


@soak
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_times_with_masks_that_come_later(
    spool: Spool, start: Any, of_photos: Ends, of_masks: Ends, seed: int
) -> None:
    chance = random.Random(seed)
    fill(spool)
    kill_over_and_over(start, 15, chance)
    finish(spool)
    check(spool, of_photos, 5)
    masks(spool)
    for _ in range(15):
        # By `once`, which does not wait before it does a photo again.
        victim = Victim(spool, "--set", "scan.settle=200ms", *ALL)
        time.sleep(chance.uniform(0.5, 3.5))
        victim.kill()
    finish(spool)
    check(spool, of_masks, 5)


@soak
@pytest.mark.parametrize("moment", range(1, 16))
def test_killed_at_every_commit_of_a_thread(
    spool: Spool, inject: Any, of_photos: Ends, of_masks: Ends, moment: int
) -> None:
    fill(spool)
    kill_at_commits(spool, inject, moment, *ALL)
    finish(spool)
    check(spool, of_photos, 5)
    masks(spool)
    kill_at_commits(spool, inject, moment, *ALL)
    finish(spool)
    check(spool, of_masks, 5)


@soak
@pytest.mark.parametrize("seed", range(2))
def test_killed_while_review_and_archive_lie_on_other_disks(
    spool: Spool,
    start: Any,
    mount: Any,
    of_photos: Ends,
    seed: int,
) -> None:
    for folder in ("review", "archive"):
        mount(Path(spool.root) / folder)
    fill(spool)
    kill_over_and_over(start, 12, random.Random(seed))
    finish(spool)
    check(spool, of_photos, 5)
