"""Promise 18: what systemd shows of the service is so, and it brings the service back whatever ends
it, while nothing that was dropped is lost or done twice.

A real systemd in a container, and the unit that `service install` writes there. Beside these,
tests/e2e/test_signals.py: what the service says to systemd, datagram by datagram.
"""

from __future__ import annotations

import random
import time

import pytest

from helpers.running import eventually
from helpers.spool import Spool
from helpers.standing import rows, standing
from helpers.tiny_network import install
from helpers.unit import STATE

PROMISE = "18 ends of the service under systemd"
PAIRS = 4
SLACK = 5.0
"""Seconds by which a busy machine may be late."""
MATTES = "/srv/retouch/mattes"


def fill(spool, first=0, count=PAIRS):
    for number in range(first, first + count):
        spool.drop_pair(f"photo{number}", seed=number)


@pytest.fixture(scope="module")
def expected_of(tmp_path_factory):
    """``expected_of(pairs)`` → content hashes of an undisturbed run without systemd."""
    known = {}

    def find(count=PAIRS):
        if len(known) < count:
            other = Spool(tmp_path_factory.mktemp("undisturbed") / "root")
            fill(other, count=max(count, 2 * PAIRS))
            assert other.once("--model", "classical").returncode == 0
            known.update(other.digests(other.outbox))
        return {f"photo{number}.png": known[f"photo{number}.png"] for number in range(count)}

    return find


@pytest.fixture
def unit(installed, tally, request):
    installed.reset()
    yield installed
    tally.add(PROMISE, request.node.originalname, restarts=installed.restarts)


def done(unit, count):
    """Wait until so many jobs are done; gives all jobs."""
    assert eventually(lambda: finished(unit) >= count, 120), unit.story()
    return unit.spool.jobs()


def finished(unit):
    return sum(row.state == "done" for row in rows(unit.state))


def check(unit, expected):
    """Each pair exactly once, and no job is blamed for anything."""
    jobs = done(unit, len(expected))
    found = unit.spool.digests(unit.spool.outbox)
    assert [n for n in {*found, *expected} if found.get(n) != expected.get(n)] == [], unit.story()
    unit.spool.check_exactly_once(expected)
    assert {job["crashes"] for job in jobs} == {0}
    assert not list(unit.spool.root.rglob(".retouchd-*.tmp"))


def back(unit, restarts, within):
    """Wait until it is ready again after so many restarts."""
    came = eventually(lambda: unit.restarts >= restarts and unit.is_active(), within)
    assert came, unit.story()
    assert unit.restarts == restarts


def load_a_network(unit):
    """Begin to start it with a model that takes a second or more to load."""
    install(unit.state / "models")
    unit.configure({"name": "cutouts", "task": "matte", "model": "mine", "root": MATTES})
    unit.run("systemctl", "start", "--no-block", "retouchd")
    assert eventually(lambda: unit.get("StatusText") == "loading the models"), unit.story()


class TestReady:
    def test_not_before_the_networks_are_warm(self, unit):
        """It is held while it loads, for longer than it would take to load."""
        load_a_network(unit)
        unit.kill("STOP", unit.main)
        assert unit.said("ready") == []
        time.sleep(3)
        assert unit.show("ActiveState", "SubState") == {
            "ActiveState": "activating",
            "SubState": "start",
        }
        unit.kill("CONT", unit.main)
        assert eventually(unit.is_active), unit.story()
        texts = [line.get("event", line["MESSAGE"]) for line in unit.journal()]
        assert texts.index("ready") < texts.index(next(t for t in texts if "Started " in t))

    @pytest.mark.soak
    def test_and_then_it_takes_in_at_once_and_says_what_it_does(self, unit, expected_of):
        assert unit.systemctl("start")[0] == 0
        assert unit.show("ActiveState", "SubState") == {
            "ActiveState": "active",
            "SubState": "running",
        }
        fill(unit.spool)
        check(unit, expected_of())
        wanted = f"0 in the queue, {PAIRS} done"
        assert eventually(lambda: unit.get("StatusText").startswith(wanted)), unit.story()


class TestRestarting:
    @pytest.mark.soak
    def test_seven_quick_kills_are_seven_restarts(self, unit, expected_of):
        """Five in ten seconds are the end by systemd's own default."""
        unit.drop_in("[Service]", "RestartSec=100ms")
        unit.systemctl("start")
        fill(unit.spool)
        for count in range(7):
            before = unit.main
            unit.kill("KILL", before)
            assert eventually(lambda: unit.main not in (0, before), 30), unit.story()  # noqa: B023
            assert unit.restarts == count + 1
        back(unit, 7, 60)
        check(unit, expected_of())

    @pytest.mark.soak
    def test_a_limit_would_show_in_that_test(self, unit):
        unit.drop_in("[Unit]", "StartLimitIntervalSec=60", "[Service]", "RestartSec=100ms")
        unit.systemctl("start")
        assert eventually(lambda: unit.kill("KILL", unit.main) or unit.failed, 60)
        assert unit.restarts < 7

    @pytest.mark.soak
    def test_nobody_outlives_a_service_that_was_killed(self, unit):
        unit.drop_in("[Service]", "RestartSec=1s")
        unit.systemctl("start")
        assert eventually(lambda: len(unit.processes()) >= 2)
        before = unit.processes()
        unit.kill("KILL", unit.main)
        back(unit, 1, 60)
        assert not set(before) & set(unit.processes())

    @pytest.mark.soak
    def test_it_comes_back_after_a_sigterm_that_was_not_systemds(self, unit, expected_of):
        """As of a guard against full memory, or a `pkill` that meant something else."""
        unit.drop_in("[Service]", "RestartSec=1s")
        unit.systemctl("start")
        fill(unit.spool)
        unit.wait_for("running", lane="inpaint")
        unit.kill("TERM", unit.main)
        back(unit, 1, 60)
        check(unit, expected_of())
        assert {job["interrupted"] for job in unit.spool.jobs()} == {0}

    def test_a_wrong_configuration_is_told_once_and_not_tried_again(self, unit):
        unit.drop_in("[Service]", "RestartSec=100ms")
        unit.configure({"name": "typo", "rooot": "/srv/retouch"})
        assert unit.systemctl("start", check=False)[0] == 1
        time.sleep(1)
        assert unit.show("ActiveState", "NRestarts", "ExecMainStatus") == {
            "ActiveState": "failed",
            "NRestarts": "0",
            "ExecMainStatus": "2",
        }
        told = "\n".join(line["MESSAGE"] for line in unit.journal())
        assert told.count("lanes[1] (typo)") == told.count("Add 'root'") == 1

    @pytest.mark.soak
    def test_a_full_disk_at_the_start_is_waited_for(self, unit, expected_of):
        unit.drop_in("[Service]", "RestartSec=1s")
        unit.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", STATE)
        try:
            unit.run("sh", "-c", f"cat /dev/zero >{STATE}/filler", check=False)
            unit.run("systemctl", "start", "--no-block", "retouchd")
            assert eventually(lambda: unit.restarts >= 2), unit.story()
            assert len(unit.told("status=75")) >= 2
            fill(unit.spool, count=1)
            unit.run("rm", f"{STATE}/filler")
            assert eventually(unit.is_active), unit.story()
            unit.wait_for("done")
            assert unit.spool.digests(unit.spool.outbox) == expected_of(1)
        finally:
            unit.systemctl("stop")
            unit.run("umount", STATE)

    @pytest.mark.soak
    def test_twenty_kills_are_twenty_restarts(self, unit, expected_of, tally):
        """The unit as it is, killed at any time from its first breath to its work."""
        chance, pairs = random.Random(18), 40
        unit.systemctl("start")
        for count in range(20):
            fill(unit.spool, 2 * count, 2)
            time.sleep(chance.random() * chance.choice((1, 4, 20)))
            assert unit.main
            unit.kill("KILL", unit.main)
            tally.counts["18 states of jobs when killed"].update(standing(unit.state))
            assert eventually(lambda: unit.restarts == count + 1, 60), unit.story()  # noqa: B023
            if chance.random() < 0.7:
                back(unit, count + 1, 60)
            assert eventually(lambda: unit.main != 0), unit.story()
        back(unit, 20, 60)
        check(unit, expected_of(pairs))


def hang_and_come_back(unit, expected, seconds):
    """The whole service is stopped with work on the device; systemd has to find out by silence."""
    unit.systemctl("start")
    fill(unit.spool)
    unit.wait_for("running", lane="inpaint")
    began = time.time()
    unit.kill("STOP", unit.main)
    assert eventually(lambda: unit.restarts == 1, seconds + 120), unit.story()
    back(unit, 1, 60)
    (line,) = [line for line in unit.journal() if "Watchdog timeout" in line["MESSAGE"]]
    assert int(line["__REALTIME_TIMESTAMP"]) / 1e6 - began < seconds + SLACK
    check(unit, expected)


class TestWatchdog:
    def test_a_hang_is_noticed_within_its_time(self, unit, expected_of):
        unit.drop_in("[Service]", "WatchdogSec=3s", "RestartSec=100ms")
        hang_and_come_back(unit, expected_of(), 3)

    @pytest.mark.soak
    def test_a_hang_is_noticed_within_the_units_own_time(self, unit, expected_of):
        hang_and_come_back(unit, expected_of(), 120)

    @pytest.mark.soak
    def test_a_service_that_works_is_left_alone(self, unit, expected_of):
        """The period is so short that a sign of life that waits for a job would come too late."""
        unit.drop_in("[Service]", "WatchdogSec=3s")
        unit.systemctl("start")
        fill(unit.spool)
        check(unit, expected_of())
        time.sleep(4)
        assert (unit.restarts, unit.told("Watchdog")) == (0, [])


class TestStopping:
    @pytest.fixture
    def stopped(self, unit):
        """``stopped(within)``: it is stopped, properly, and nothing of it is left."""

        def stop(within):
            took = unit.systemctl("stop")[1]
            assert took < within, unit.story()
            assert unit.show("ActiveState", "Result", "ExecMainStatus") == {
                "ActiveState": "inactive",
                "Result": "success",
                "ExecMainStatus": "0",
            }, unit.story()
            assert unit.processes() == []
            assert {row.state for row in rows(unit.state)} <= {"done", "ready", "waiting"}
            return took

        return stop

    def test_what_is_under_way_is_finished_and_the_rest_is_kept(self, unit, stopped, expected_of):
        unit.systemctl("start")
        fill(unit.spool, count=2 * PAIRS)
        unit.wait_for("running", lane="inpaint")
        stopped(60)
        assert unit.told("killed") == unit.told("timed out") == []
        unit.systemctl("start")
        check(unit, expected_of(2 * PAIRS))
        assert {job["interrupted"] for job in unit.spool.jobs()} == {0}

    @pytest.mark.soak
    def test_what_can_not_be_finished_is_handed_back(self, unit, stopped, expected_of):
        """Hands that answer nobody; that takes longer to find out than systemd's patience lasts."""
        unit.drop_in("[Service]", "TimeoutStopSec=1s")
        unit.systemctl("start")
        fill(unit.spool)
        unit.wait_for("running", lane="inpaint")
        unit.kill("STOP", *unit.hands())
        assert stopped(60) > 1
        assert unit.told("timed out") == []
        assert {job["attempts"] for job in unit.spool.jobs() if job["state"] == "ready"} <= {0}
        unit.systemctl("start")
        check(unit, expected_of())

    @pytest.mark.soak
    def test_models_that_load_for_long_do_not_hold_it_up(self, unit):
        load_a_network(unit)
        assert unit.systemctl("stop")[1] < 10
        assert unit.show("ActiveState", "Result") == {
            "ActiveState": "inactive",
            "Result": "success",
        }
        assert unit.said("ready") == unit.told("timed out") == []

    @pytest.mark.soak
    def test_at_any_moment_of_its_start(self, unit):
        """Before its handlers are there, while it loads, and just after."""
        for delay in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2):
            unit.run("systemctl", "start", "--no-block", "retouchd")
            time.sleep(delay)
            unit.systemctl("stop")
            shown = unit.show("ActiveState", "Result")
            assert shown == {"ActiveState": "inactive", "Result": "success"}, unit.story()
            assert unit.processes() == []


class TestReloading:
    def test_a_reload_takes_up_the_new_configuration(self, unit):
        unit.systemctl("start")
        before = unit.main
        unit.configure({"name": "second", "model": "classical", "root": "/srv/retouch/second"})
        unit.install()
        assert unit.systemctl("reload")[0] == 0
        unit.wait_for("watching", lane="second")
        assert (unit.main, unit.restarts, unit.is_active()) == (before, 0, True)

    @pytest.mark.soak
    def test_a_wrong_configuration_ends_nothing(self, unit, expected_of):
        unit.systemctl("start")
        before = unit.main
        unit.configure({"name": "typo", "rooot": "/srv/retouch"})
        unit.systemctl("reload")
        unit.wait_for("configuration kept")
        fill(unit.spool, count=1)
        check(unit, expected_of(1))
        assert (unit.main, unit.is_active()) == (before, True)


class TestRebooting:
    @pytest.fixture
    def enabled(self, unit):
        """As the installation says to start it."""
        (command,) = [command for command in unit.named if "enable" in command]
        unit.run(*command)
        yield unit
        unit.run("systemctl", "disable", "retouchd")

    @pytest.mark.parametrize("how", ["reboot", pytest.param("power cut", marks=pytest.mark.soak)])
    def test_the_work_goes_on_by_itself(self, enabled, how, expected_of):
        fill(enabled.spool, count=2 * PAIRS)
        enabled.wait_for("running", lane="inpaint")
        if how == "reboot":
            enabled.container.reboot()
            assert {row.state for row in rows(enabled.state)} <= {"done", "ready", "running"}
        else:
            enabled.container.cut()
            enabled.container.boot()
        assert eventually(enabled.is_active), enabled.story()
        check(enabled, expected_of(2 * PAIRS))
        most = 0 if how == "reboot" else 1
        assert max(job["interrupted"] for job in enabled.spool.jobs()) <= most
