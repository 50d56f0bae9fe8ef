"""kill -9 at any moment of a matte lane's work: a photo ends as one output with all its files."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.spool import Spool
from helpers.studio import clutter, file, product, rough

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
def undisturbed_ends(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ends, Ends]:
    """What lies where without any kill: after the photos, and after the masks."""
    spool = Spool(tmp_path_factory.mktemp("undisturbed") / "root")
    fill(spool)
    finish(spool)
    first = ends(spool)
    masks(spool)
    finish(spool)
    assert len(first["review"]) == 8
    assert len(first["outbox"]) == 9
    return first, ends(spool)


def check(spool: Spool, expected: Ends, done: int) -> None:
    assert ends(spool) == expected
    assert spool.files(spool.inbox) == []
    states = [job["state"] for job in spool.jobs()]
    # A mask that waited for a moment lends its job to the photo's.
    assert states.count("done") == done
    assert set(states) <= {"done", "cancelled"}
    assert list(spool.root.rglob(".retouchd-*.tmp")) == []


def kill_over_and_over(spool: Spool, start: Any, times: int, chance: random.Random) -> None:
    for _ in range(times):
        running = start(*ALL)
        time.sleep(chance.uniform(0.5, 3.0))
        running.kill()


@pytest.mark.parametrize(
    "state", [pytest.param("running", marks=soak), "published", pytest.param("done", marks=soak)]
)
def test_killed_as_soon_as_a_job_reaches_a_state(
    spool: Spool, start: Any, undisturbed_ends: tuple[Ends, Ends], state: str
) -> None:
    fill(spool)
    running = start(*ALL)
    running.wait_for(state, 2, lane="matte")
    running.kill()
    finish(spool)
    check(spool, undisturbed_ends[0], 5)


@pytest.mark.soak  # tests/faults has it, with cut-outs among the lanes
def test_killed_at_random_times_over_and_over(
    spool: Spool, start: Any, undisturbed_ends: tuple[Ends, Ends]
) -> None:
    fill(spool)
    kill_over_and_over(spool, start, 4, random.Random(3))
    finish(spool)
    check(spool, undisturbed_ends[0], 5)


@soak
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_times_with_masks_that_come_later(
    spool: Spool, start: Any, undisturbed_ends: tuple[Ends, Ends], seed: int
) -> None:
    chance = random.Random(seed)
    fill(spool)
    kill_over_and_over(spool, start, 15, chance)
    finish(spool)
    check(spool, undisturbed_ends[0], 5)
    masks(spool)
    for _ in range(15):
        # By `once`, which does not wait before it does a photo again.
        command = spool.command("once", more=("--set", "scan.settle=200ms", *ALL))
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.5, 3.5))
        process.kill()
        process.wait(10)
    finish(spool)
    check(spool, undisturbed_ends[1], 5)


@soak
@pytest.mark.parametrize("moment", range(1, 16))
def test_killed_at_every_commit_of_a_thread(
    spool: Spool, inject: Any, undisturbed_ends: tuple[Ends, Ends], moment: int
) -> None:
    """Before the commit reaches the disk, so that the deed may be done and the ledger not know."""
    fill(spool)
    words = ("--set", "scan.settle=200ms", "--set", "hands=1", *ALL)
    command = spool.command("once", more=words)
    for drop in (None, masks):
        if drop:
            finish(spool)
            check(spool, undisturbed_ends[0], 5)
            drop(spool)
        for _ in range(6):
            ended = subprocess.run(
                [*inject(f"fdatasync:signal=SIGKILL:when={moment}"), *command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=300,
                check=False,
            )
            assert ended.returncode in (0, -9)
    finish(spool)
    check(spool, undisturbed_ends[1], 5)


@soak
@pytest.mark.parametrize("seed", range(2))
def test_killed_while_review_and_archive_lie_on_other_disks(
    spool: Spool,
    start: Any,
    mount: Any,
    undisturbed_ends: tuple[Ends, Ends],
    seed: int,
) -> None:
    for folder in ("review", "archive"):
        mount(Path(spool.root) / folder)
    fill(spool)
    kill_over_and_over(spool, start, 12, random.Random(seed))
    finish(spool)
    check(spool, undisturbed_ends[0], 5)
