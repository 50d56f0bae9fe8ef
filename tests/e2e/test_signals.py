"""What systemd and an administrator say to the service, and what it says to them."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


class Systemd:
    """The other end of sd_notify(3)."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.address)
        self._sock.settimeout(0.2)
        self.heard: list[dict[str, str]] = []

    def listen(self, variable: str, timeout: float = 30) -> dict[str, str]:
        """The first message with that variable from now on; older ones stay in ``heard``."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            message = self._next()
            if message and variable in message:
                return message
        raise AssertionError(f"no {variable} in {self.heard}")

    def _next(self) -> dict[str, str]:
        try:
            text = self._sock.recv(8192).decode()
        except TimeoutError:
            return {}
        self.heard.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self.heard[-1]

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    found = Systemd(tmp_path)
    yield found
    found.close()


def watched_by(systemd: Systemd, seconds: float = 3) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": str(int(seconds * 1e6))}


def children(pid: int) -> list[int]:
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        text = Path(f"/proc/{pid}/task/{task}/children").read_text()
        found += [int(child) for child in text.split()]
    return found


def test_systemd_hears_ready_after_the_warm_up_then_status_and_a_pulse(spool, start, systemd):
    spool.drop_pair("photo")
    running = start(environment=watched_by(systemd))
    systemd.listen("READY")
    # Loading the models came first, and nothing claimed to be ready before.
    assert systemd.heard[0] == {"STATUS": "loading the models"}
    assert [m for m in systemd.heard if "READY" in m] == [systemd.heard[-1]]
    running.wait_for("done")
    systemd.listen("WATCHDOG", timeout=10)
    assert "1 done" in systemd.listen("STATUS", timeout=10)["STATUS"]
    assert running.stop() == 0
    systemd.listen("STOPPING", timeout=5)


def test_the_pulse_stops_when_the_service_is_stuck(spool, start, systemd):
    running = start(environment=watched_by(systemd))
    systemd.listen("WATCHDOG", timeout=20)
    running.signal(signal.SIGSTOP)
    try:
        time.sleep(1.5)
        while systemd._next():
            pass
        with pytest.raises(AssertionError, match="no WATCHDOG"):
            systemd.listen("WATCHDOG", timeout=3)
    finally:
        running.signal(signal.SIGCONT)
    systemd.listen("WATCHDOG", timeout=10)


def test_sigterm_finishes_what_is_under_way_and_leaves_the_rest_for_later(spool, start):
    names = [f"photo{number}" for number in range(30)]
    for number, name in enumerate(names):
        spool.drop_pair(name, seed=number)
    running = start()
    running.wait_for("published", 3)
    assert running.stop() == 0
    states = {job["name"]: job["state"] for job in spool.jobs()}
    assert set(states.values()) <= {"ready", "done"}, states
    assert spool.once().returncode == 0
    assert spool.undated(spool.outbox) == sorted(f"{name}.png" for name in names)
    assert all(job["attempts"] == 1 for job in spool.jobs())


def test_sigterm_does_not_wait_for_hands_that_hang(spool, start):
    spool.drop_pair("photo")
    running = start("--set", "drain=2s")
    running.wait_for("running", lane="inpaint")
    for pid in children(running.process.pid):
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert running.stop(timeout=15) == 0
    assert time.monotonic() - began < 15
    assert spool.once().returncode == 0
    assert spool.undated(spool.outbox) == ["photo.png"]


def test_sigint_is_as_good_as_sigterm(spool, start):
    running = start()
    running.wait_for("watching")
    running.signal(signal.SIGINT)
    assert running.process.wait(15) == 0


def test_sighup_takes_a_changed_configuration(make_lanes, start_all):
    lanes = make_lanes()
    first = lanes.lane("first", model="flat")
    running = start_all(lanes)
    running.wait_for("watching", lane="first")
    second = lanes.lane("second", model="flat", output={"format": "webp"})
    lanes.lane("first", model="flat", output={"format": "jpeg"})
    running.signal(signal.SIGHUP)
    running.wait_for("configuration reloaded")
    for spool in (first, second):
        spool.drop_pair("photo")
    running.wait_for("done", 2)
    assert first.undated(first.outbox) == ["photo.jpg"]
    assert second.undated(second.outbox) == ["photo.webp"]
    assert {lane["name"] for lane in lanes.status()["lanes"]} == {"first", "second"}


def test_an_invalid_configuration_keeps_the_old_one_running_and_says_so(make_lanes, start_all):
    lanes = make_lanes()
    spool = lanes.lane("first", model="flat")
    running = start_all(lanes)
    running.wait_for("watching", lane="first")
    good = lanes.file.read_text()
    lanes.file.write_text(good.replace("model: flat", "modle: flat"))
    running.signal(signal.SIGHUP)
    line = running.wait_for("configuration kept")
    assert "modle" in line["cause"]
    assert "model" in line["remedy"]
    spool.drop_pair("photo")
    running.wait_for("done")


def test_a_hand_that_hangs_pauses_its_lane_while_the_others_go_on(
    make_lanes, start_all, eventually
):
    lanes = make_lanes(scan={"answer_within": "2s"})
    stuck, free = lanes.lane("stuck", model="flat"), lanes.lane("free", model="flat")
    running = start_all(lanes, "--set", "scan.answer_within=2s")
    running.wait_for("watching", 2)
    before = set(children(running.process.pid))
    # Whoever looks at this lane next hangs, as on a share that does not answer.
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    stuck.drop_pair("photo")
    running.wait_for("lane paused", timeout=30)
    free.drop_pair("other")
    running.wait_for("done", lane="free", timeout=40)
    running.wait_for("done", lane="stuck", timeout=40)
    assert eventually(lambda: {lane["paused"] for lane in lanes.status()["lanes"]} == {None})


def test_outside_its_hours_a_lane_keeps_its_jobs_and_once_says_so(spool):
    now = time.localtime()
    start, end = (now.tm_hour + 2) % 24, (now.tm_hour + 3) % 24
    hours = f"lanes.*.schedule.active='{start:02}:00-{end:02}:00'"
    spool.drop_pair("photo")
    assert spool.once("--set", hours).returncode == 75
    assert [job["state"] for job in spool.jobs()] == ["ready"]
    assert spool.files(spool.outbox) == []
    assert spool.once().returncode == 0
