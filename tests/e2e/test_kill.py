"""kill -9 at any moment, then a restart: every pair ends exactly once."""

from __future__ import annotations

import os
import random
import signal

import pytest

from helpers.victim import kill_again_and_again

PAIRS = 4
soak = pytest.mark.soak


def fill(spool):
    for number in range(PAIRS):
        spool.drop_pair(f"photo{number}", (".png", ".jpg", ".webp", ".tif")[number], seed=number)


@pytest.mark.parametrize(
    "state",
    [pytest.param("ready", marks=soak), "running", "published", pytest.param("done", marks=soak)],
)
@pytest.mark.parametrize("count", [1, pytest.param(3, marks=soak)])
def test_killed_as_soon_as_a_job_reaches_a_state(spool, start, undisturbed, state, count):
    expected = undisturbed(fill)
    fill(spool)
    running = start()
    # The first `ready` is the service's own; the jobs' lines carry a job.
    running.wait_for(state, count, lane="inpaint")
    running.kill()
    done = spool.once()
    assert done.returncode == 0, done.stderr
    spool.check_exactly_once(expected)


def test_killed_while_waiting_for_a_mask(spool, start, pictures, eventually):
    spool.drop("photo.png", pictures.texture(1))
    running = start()
    running.wait_for("waiting", lane="inpaint")
    running.kill()
    spool.drop("photo_mask.png", pictures.blob())
    assert spool.once().returncode == 0
    assert spool.undated(spool.outbox) == ["photo.png"]
    assert [job["state"] for job in spool.jobs()] == ["done"]


def test_killed_while_moving_a_file_to_quarantine(spool, start):
    spool.drop_pair("good", seed=3)
    spool.drop("bad.png", b"this is no picture")
    running = start()
    running.wait_for("quarantined")
    running.kill()
    done = spool.once()
    assert done.returncode in (0, 3), done.stderr
    assert spool.undated(spool.failed) == ["bad.png", "bad.png.error.txt"]
    assert spool.undated(spool.outbox) == ["good.png"]


@soak  # tests/faults has it, quicker and at more places
def test_killed_at_random_times_over_and_over(spool, start, undisturbed):
    expected = undisturbed(fill)
    fill(spool)
    chance = random.Random(5)
    kill_again_and_again(start, (chance.uniform(0.4, 3.0) for _ in range(8)))
    done = spool.once()
    assert done.returncode == 0, done.stderr
    spool.check_exactly_once(expected)


def test_a_hand_that_is_killed_costs_nothing_but_time(spool, start, children, undisturbed):
    expected = undisturbed(fill)
    fill(spool)
    running = start()
    running.wait_for("running", lane="inpaint")
    for pid in children(running.process.pid):
        os.kill(pid, signal.SIGKILL)
    running.wait_for("done", PAIRS)
    assert running.stop() == 0
    spool.check_exactly_once(expected)


def test_hands_die_with_their_service(spool, start, children, eventually):
    spool.drop_pair("photo")
    running = start()
    running.wait_for("done")
    pids = children(running.process.pid)
    assert pids
    running.kill()
    assert eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 10)
