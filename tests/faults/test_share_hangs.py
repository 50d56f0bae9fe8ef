"""Promise 7: a share that hangs never wedges the service: status answers, systemd's watchdog is
fed, other lanes go on, it ends in time, and a hang costs few workers.

The share is a file system in user space that takes calls and does not answer them, so that who
waits for one can't be killed, as with a hard NFS mount. Beside these, tests/e2e/test_signals.py has
a frozen local disk, and hands that are stopped.
"""

from __future__ import annotations

import subprocess
import time
from statistics import median

import pytest

from helpers.campaign import PATIENT
from helpers.neighbours import HANDS, Neighbours
from helpers.running import eventually

PROMISE = "7 hangs survived, by kind"
WATCHDOG = 6.0
"""Seconds after which systemd would end the service."""
ENDS = 15.0
IMPATIENT = ("--set", "scan.answer_within=2s", "--set", "scan.remote=1s")
WAYS = {
    "idle": (),
    "at work": (),
    "writes": ("write", "fsync", "create", "rename", "mkdir", "unlink"),
    "reads": ("read",),
}
LONG = 600.0


def killed(pid):
    """Whether a process was killed and can't die."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            facts = dict(line.split(":", 1) for line in file if ":" in line)
    except OSError:
        return False
    # SIGKILL is bit 8 of what is pending.
    pending = int(facts.get("ShdPnd", "0"), 16) | int(facts.get("SigPnd", "0"), 16)
    return bool(pending & 1 << 8) and not facts["State"].strip().startswith("Z")


@pytest.fixture
def plant(tmp_path, make_share):
    return Neighbours(tmp_path, make_share())


@pytest.fixture
def begin(start_all, plant, notified):
    """``begin(*options)`` starts the service, which has done a pair in each lane then."""

    def start(*options):
        environment = notified.environment(WATCHDOG)
        running = start_all(plant.lanes, *PATIENT, *options, environment=environment)
        running.wait_for("watching", 2)
        plant.drop()
        assert eventually(lambda: plant.done("ill") and plant.done("well"))
        return running

    return start


def live_through(plant, running, notified, children, how, seconds):
    """Let the share hang for so long; gives how many hands were lost to it, and how long `status`
    took."""
    if how != "idle":
        plant.drop(5, plant.ill)
        running.wait_for("running", 2, lane="ill")
    plant.share.hang(*WAYS[how])
    began = time.monotonic()
    if how != "idle":
        plant.drop_again()
    lost, took, elsewhere, paused = 0, [], [], False
    while time.monotonic() < began + seconds or not plant.done("well") or not paused:
        assert time.monotonic() < began + seconds + 240, "".join(running.raw[-40:])
        lanes, *both = plant.status()
        took.append(both[0])
        elsewhere.append(both[1])
        paused = paused or "did not answer within" in (lanes["ill"]["paused"] or "")
        assert not lanes["well"]["paused"]
        lost = max(lost, sum(map(killed, children(running.process.pid))))
        time.sleep(min(10, seconds / 10))
    # On a busy machine a second is a matter of luck, so it is compared.
    assert median(took) < max(1.0, 2 * median(elsewhere))
    assert max(took) < 30
    assert notified.longest_silence(began, time.monotonic()) < WATCHDOG
    assert running.process.poll() is None
    # Each hand that the lane may have at once (the other keeps one), one that looks whether the
    # share is back, and one that looks who is to blame.
    assert lost <= (1 if how == "idle" else HANDS - 1 + 2)
    return {
        "lost": lost,
        "status": round(median(took), 2),
        "elsewhere": round(median(elsewhere), 2),
    }


def heal(plant, running, children):
    plant.share.heal()
    if not plant.done("ill"):
        running.wait_for("lane resumed", lane="ill")
    assert eventually(lambda: plant.done("ill"), 120)
    assert eventually(lambda: not any(map(killed, children(running.process.pid))))
    assert running.stop() == 0
    plant.check()


@pytest.mark.parametrize("how", [pytest.param("idle", marks=pytest.mark.soak), "at work"])
def test_it_goes_on_while_a_share_hangs(start_all, plant, begin, notified, children, tally, how):
    running = begin(*IMPATIENT)
    facts = live_through(plant, running, notified, children, how, 12)
    heal(plant, running, children)
    tally.add(PROMISE, f"{how}, short", **facts)


@pytest.mark.soak
@pytest.mark.parametrize("how", WAYS)
def test_it_goes_on_while_a_share_hangs_for_ten_minutes(
    start_all, plant, begin, notified, children, tally, how
):
    """With the deadlines that everybody has."""
    running = begin()
    facts = live_through(plant, running, notified, children, how, LONG)
    heal(plant, running, children)
    tally.add(PROMISE, f"{how}, ten minutes", **facts)


@pytest.mark.soak
@pytest.mark.parametrize("how", ["idle", "at work"])
def test_it_ends_in_time_while_a_share_hangs_and_starts_again(start_all, plant, begin, tally, how):
    """With the deadlines that everybody has, so that nobody knows yet that the share hangs."""
    running = begin("--set", "scan.remote=1s")
    if how == "at work":
        plant.drop(5, plant.ill)
        running.wait_for("running", 2, lane="ill")
    plant.share.hang()
    time.sleep(1)
    began = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began < ENDS
    assert "running" not in plant.states("ill").values()
    again = start_all(plant.lanes, *PATIENT, *IMPATIENT)
    again.wait_for("lane paused", lane="ill")
    plant.drop_again()
    assert eventually(lambda: plant.done("well"))
    plant.share.heal()
    assert eventually(lambda: plant.done("ill"), 120)
    assert again.stop() == 0
    plant.check()
    tally.add(PROMISE, f"{how}, ended and started again")


@pytest.mark.soak
def test_it_goes_on_when_a_share_that_hangs_is_mounted_anew(start_all, plant, begin, children):
    """The hands that were lost to the old one stay lost, and are not held against the new one."""
    running = begin(*IMPATIENT)
    plant.share.hang()
    running.wait_for("lane paused", lane="ill")
    assert eventually(lambda: any(map(killed, children(running.process.pid))))
    plant.share.go()
    plant.share.come()
    plant.drop(2)
    assert eventually(lambda: plant.done("ill") and plant.done("well"), 120)
    assert any(map(killed, children(running.process.pid)))
    assert running.stop() == 0
    plant.check()


@pytest.mark.soak
@pytest.mark.parametrize("trouble", ["dead", "EIO", "ESTALE", "EACCES"])
def test_it_goes_on_after_a_share_that_answers_everything_with_an_error(
    start_all, plant, begin, tally, trouble
):
    running = begin(*IMPATIENT)
    plant.drop(5, plant.ill)
    running.wait_for("running", 2, lane="ill")
    if trouble == "dead":
        plant.share.die()
    else:
        plant.share.err(trouble)
    plant.drop_again()
    assert eventually(lambda: plant.done("well"), 120)
    assert eventually(lambda: bool(plant.status()[0]["ill"]["paused"]))
    assert "quarantined" not in plant.states("ill").values()
    if trouble == "dead":
        plant.share.go()
        plant.share.come()
    else:
        plant.share.heal()
    assert eventually(lambda: plant.done("ill"), 180)
    assert running.stop() == 0
    # EIO is also what a bad spot of a disk gives: such attempts count, and are never given up.
    plant.check(None if trouble == "EIO" else 1)
    tally.add(PROMISE, f"all calls fail: {trouble}")


@pytest.mark.soak
def test_one_file_that_no_reader_comes_through_costs_its_own_job_and_a_few_workers(
    start_all, plant, begin, children, tally
):
    running = begin(*IMPATIENT, "--set", "retry.crashes=2")
    plant.share.hang("read", "/stuck.png")
    plant.ill.drop_pair("stuck", seed=77)
    plant.drop(4)
    assert eventually(lambda: plant.done("ill") and plant.done("well"), 120)
    running.wait_for("quarantined", lane="ill", file="stuck.png", timeout=300)
    # By the look whether it is whole, by the work, by what sets it aside.
    assert sum(map(killed, children(running.process.pid))) <= 3
    plant.drop(2)
    assert eventually(lambda: plant.done("ill") and plant.done("well"), 120)
    plant.share.heal()
    assert running.stop() == 0
    tally.add(PROMISE, "one file")


@pytest.mark.soak
def test_commands_come_back_while_a_share_hangs(start_all, plant, begin, tally):
    running = begin(*IMPATIENT)
    plant.share.hang()
    running.wait_for("lane paused", lane="ill")
    soon = ("--set", "scan.answer_within=2s")

    def told(*words):
        """What a command says; its workers that hang keep nothing but their stderr."""
        command = plant.lanes.command(*words)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        return subprocess.run(command, timeout=120, check=False, **streams)

    for words in (("jobs",), ("explain", "1"), ("retry", "1"), ("cancel", "1"), ("config",)):
        told(*words)
    assert "did not answer" in " ".join(told("doctor", *soon).stdout.split())
    told("prune", *soon)
    assert running.stop() == 0
    assert told("once", *PATIENT, *IMPATIENT).returncode == 75
    tally.add(PROMISE, "commands")


@pytest.mark.soak
def test_a_share_that_is_slow_is_worked_on_slowly(start_all, plant, begin, tally):
    running = begin()
    plant.share.slow(0.05)
    plant.drop(3)
    assert eventually(lambda: plant.done("ill") and plant.done("well"), 300)
    assert not [line for line in running.lines if line["event"] == "lane paused"]
    plant.share.heal()
    assert running.stop() == 0
    plant.check()
    tally.add(PROMISE, "slow")
