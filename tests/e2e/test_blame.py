"""A service that died in the middle of a job: by evidence alone is the job to blame."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

# The end of a service with job 1 on the device: systemd's watchdog aborts it.
ABORTED = """
import os, signal, sys, threading
from pathlib import Path
from retouchd.blackbox import BlackBox
box = BlackBox(Path(sys.argv[1]))
device = threading.Thread(target=box.on_device, args=((1,),))
device.start()
device.join()
box.stuck(sys.argv[2:])
os.kill(os.getpid(), signal.SIGABRT)
"""


@pytest.fixture
def closed():
    """A lane that is closed now: it only takes in."""
    start = datetime.now() + timedelta(hours=3)
    return f"lanes.*.schedule.active={start:%H:%M}-{start + timedelta(hours=1):%H:%M}"


@pytest.fixture
def die(spool, closed):
    """Drops a pair and dies while job 1 is at work; says which parts were stuck."""
    spool.drop_pair("photo")
    assert spool.once("--set", closed).returncode == 75
    state = spool.root / ".retouchd"

    def end(*stuck):
        with sqlite3.connect(state / "ledger.sqlite3") as db:
            db.execute("UPDATE jobs SET state = 'running', attempts = 1")
        command = [sys.executable, "-c", ABORTED, state, *stuck]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGABRT, done.stderr

    return end


def counts(spool):
    (job,) = spool.jobs()
    return job["crashes"], job["interrupted"]


def test_a_stuck_intake_is_not_the_doing_of_the_job_on_the_device(spool, die):
    die("the intake of lane inpaint")
    done = spool.once()
    assert done.returncode == 0, done.stderr
    assert "the intake of lane inpaint made no progress for too long" in done.stderr
    assert counts(spool) == (0, 0)


def test_a_device_that_hangs_twice_is(spool, die, closed):
    die("the device")
    assert spool.once("--set", closed).returncode == 75
    assert counts(spool) == (1, 1)
    die("the device")
    assert spool.once().returncode == 3
    (text,) = spool.failed.rglob("*.error.txt")
    assert "the device made no progress" in " ".join(text.read_text(encoding="utf-8").split())


@pytest.mark.soak
def test_starts_that_never_come_to_the_job_are_not_held_against_it(spool, die):
    """As when the share is away in the morning, and the service is restarted over and over."""
    die()
    spool.outbox.rename(spool.root / "away")
    for _ in range(2):
        assert spool.once().returncode == 75
    (spool.root / "away").rename(spool.outbox)
    assert spool.once().returncode == 0
    assert counts(spool) == (0, 1)


def test_an_abort_for_no_known_reason_is_an_interruption(spool, die):
    die()
    assert spool.once().returncode == 0
    assert counts(spool) == (0, 1)
