"""Promise 18: what systemd shows of the service is so, and it brings the service back whatever ends
it, while nothing that was dropped is lost or done twice.

A real systemd in a container, and the unit that `service install` writes there; starts, stops and
reloads. Beside these, test_systemd_restarts.py, and tests/e2e/test_signals.py: what the service
says to systemd, datagram by datagram.
"""

from __future__ import annotations

import time

import pytest

from helpers.running import eventually
from helpers.standing import rows
from helpers.tiny_network import install

PAIRS = 4
MATTES = "/srv/retouch/mattes"


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
    def test_and_then_it_takes_in_at_once_and_says_what_it_does(self, unit, pairs_of):
        assert unit.systemctl("start")[0] == 0
        assert unit.show("ActiveState", "SubState") == {
            "ActiveState": "active",
            "SubState": "running",
        }
        unit.drop_pairs(PAIRS)
        unit.check(pairs_of(PAIRS))
        wanted = f"0 in the queue, {PAIRS} done"
        assert eventually(lambda: unit.get("StatusText").startswith(wanted)), unit.story()


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

    def test_what_is_under_way_is_finished_and_the_rest_is_kept(self, unit, stopped, pairs_of):
        unit.systemctl("start")
        unit.drop_pairs(2 * PAIRS)
        unit.wait_for("running", lane="inpaint")
        stopped(60)
        assert unit.told("killed") == unit.told("timed out") == []
        unit.systemctl("start")
        unit.check(pairs_of(2 * PAIRS))
        assert {job["interrupted"] for job in unit.spool.jobs()} == {0}

    @pytest.mark.soak
    def test_what_can_not_be_finished_is_handed_back(self, unit, stopped, pairs_of):
        """Hands that answer nobody; that takes longer to find out than systemd's patience lasts."""
        unit.drop_in("[Service]", "TimeoutStopSec=1s")
        unit.systemctl("start")
        unit.drop_pairs(PAIRS)
        unit.wait_for("running", lane="inpaint")
        unit.kill("STOP", *unit.hands())
        assert stopped(60) > 1
        assert unit.told("timed out") == []
        assert {job["attempts"] for job in unit.spool.jobs() if job["state"] == "ready"} <= {0}
        unit.systemctl("start")
        unit.check(pairs_of(PAIRS))

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
    def test_a_wrong_configuration_ends_nothing(self, unit, pairs_of):
        unit.systemctl("start")
        before = unit.main
        unit.configure({"name": "typo", "rooot": "/srv/retouch"})
        unit.systemctl("reload")
        unit.wait_for("configuration kept")
        unit.drop_pairs(1)
        unit.check(pairs_of(1))
        assert (unit.main, unit.is_active()) == (before, True)
