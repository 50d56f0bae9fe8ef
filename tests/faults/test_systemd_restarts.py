"""Promise 18, the restarts: whatever ends the service, systemd brings it back, and the work goes on
by itself; nothing that was dropped is lost or done twice. What systemd shows of it:
test_systemd_tells_the_truth.py.
"""

from __future__ import annotations

import random
import time

import pytest

from helpers.running import eventually
from helpers.standing import rows, standing
from helpers.unit import STATE

PAIRS = 4
SLACK = 5.0
"""Seconds by which a busy machine may be late."""


class TestRestarting:
    @pytest.mark.soak
    def test_seven_quick_kills_are_seven_restarts(self, unit, pairs_of):
        """Five in ten seconds are the end by systemd's own default."""
        unit.drop_in("[Service]", "RestartSec=100ms")
        unit.systemctl("start")
        unit.drop_pairs(PAIRS)
        for count in range(7):
            before = unit.main
            unit.kill("KILL", before)
            assert eventually(lambda: unit.main not in (0, before), 30), unit.story()  # noqa: B023
            assert unit.restarts == count + 1
        unit.back(7, 60)
        unit.check(pairs_of(PAIRS))

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
        unit.back(1, 60)
        assert not set(before) & set(unit.processes())

    @pytest.mark.soak
    def test_it_comes_back_after_a_sigterm_that_was_not_systemds(self, unit, pairs_of):
        """As of a guard against full memory, or a `pkill` that meant something else."""
        unit.drop_in("[Service]", "RestartSec=1s")
        unit.systemctl("start")
        unit.drop_pairs(PAIRS)
        unit.wait_for("running", lane="inpaint")
        unit.kill("TERM", unit.main)
        unit.back(1, 60)
        unit.check(pairs_of(PAIRS))
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
        assert told.count("lanes[1] (typo)") == told.count("Did you mean 'root'") == 1

    @pytest.mark.soak
    def test_a_full_disk_at_the_start_is_waited_for(self, unit, pairs_of):
        unit.drop_in("[Service]", "RestartSec=1s")
        unit.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", STATE)
        try:
            unit.run("sh", "-c", f"cat /dev/zero >{STATE}/filler", check=False)
            unit.run("systemctl", "start", "--no-block", "retouchd")
            assert eventually(lambda: unit.restarts >= 2), unit.story()
            assert len(unit.told("status=75")) >= 2
            unit.drop_pairs(1)
            unit.run("rm", f"{STATE}/filler")
            assert eventually(unit.is_active), unit.story()
            unit.wait_for("done")
            assert unit.spool.digests(unit.spool.outbox) == pairs_of(1)
        finally:
            unit.systemctl("stop")
            unit.run("umount", STATE)

    @pytest.mark.soak
    def test_twenty_kills_are_twenty_restarts(self, unit, pairs_of, tally):
        """The unit as it is, killed at any time from its first breath to its work."""
        chance, pairs = random.Random(18), 40
        unit.systemctl("start")
        for count in range(20):
            unit.drop_pairs(2, first=2 * count)
            time.sleep(chance.random() * chance.choice((1, 4, 20)))
            assert unit.main
            unit.kill("KILL", unit.main)
            tally.counts["18 states of jobs when killed"].update(standing(unit.state))
            assert eventually(lambda: unit.restarts == count + 1, 60), unit.story()  # noqa: B023
            if chance.random() < 0.7:
                unit.back(count + 1, 60)
            assert eventually(lambda: unit.main != 0), unit.story()
        unit.back(20, 60)
        unit.check(pairs_of(pairs))


def hang_and_come_back(unit, expected, seconds):
    """The whole service is stopped with work on the device; systemd has to find out by silence."""
    unit.systemctl("start")
    unit.drop_pairs(PAIRS)
    unit.wait_for("running", lane="inpaint")
    began = time.time()
    unit.kill("STOP", unit.main)
    assert eventually(lambda: unit.restarts == 1, seconds + 120), unit.story()
    unit.back(1, 60)
    (line,) = [line for line in unit.journal() if "Watchdog timeout" in line["MESSAGE"]]
    assert int(line["__REALTIME_TIMESTAMP"]) / 1e6 - began < seconds + SLACK
    unit.check(expected)


class TestWatchdog:
    def test_a_hang_is_noticed_within_its_time(self, unit, pairs_of):
        unit.drop_in("[Service]", "WatchdogSec=3s", "RestartSec=100ms")
        hang_and_come_back(unit, pairs_of(PAIRS), 3)

    @pytest.mark.soak
    def test_a_hang_is_noticed_within_the_units_own_time(self, unit, pairs_of):
        hang_and_come_back(unit, pairs_of(PAIRS), 120)

    @pytest.mark.soak
    def test_a_service_that_works_is_left_alone(self, unit, pairs_of):
        """The period is so short that a sign of life that waits for a job would come too late."""
        unit.drop_in("[Service]", "WatchdogSec=3s")
        unit.systemctl("start")
        unit.drop_pairs(PAIRS)
        unit.check(pairs_of(PAIRS))
        time.sleep(4)
        assert (unit.restarts, unit.told("Watchdog")) == (0, [])


class TestRebooting:
    @pytest.fixture
    def enabled(self, unit):
        """As the installation says to start it."""
        (command,) = [command for command in unit.named if "enable" in command]
        unit.run(*command)
        yield unit
        unit.run("systemctl", "disable", "retouchd")

    @pytest.mark.parametrize("how", ["reboot", pytest.param("power cut", marks=pytest.mark.soak)])
    def test_the_work_goes_on_by_itself(self, enabled, how, pairs_of):
        enabled.drop_pairs(2 * PAIRS)
        enabled.wait_for("running", lane="inpaint")
        if how == "reboot":
            enabled.container.reboot()
            assert {row.state for row in rows(enabled.state)} <= {"done", "ready", "running"}
        else:
            enabled.container.cut()
            enabled.container.boot()
        assert eventually(enabled.is_active), enabled.story()
        enabled.check(pairs_of(2 * PAIRS))
        most = 0 if how == "reboot" else 1
        assert max(job["interrupted"] for job in enabled.spool.jobs()) <= most
