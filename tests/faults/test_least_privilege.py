"""Promise 19: the service can do its work and next to nothing else, whatever takes it over.

The unit that `service install` writes, in a container with a real systemd. Each attempt is made
three times: without the sandbox, where it must work; in it; and in it as root, so that it is the
sandbox that denies it. Beside these, tests/test_systemd.py: the unit as it comes, without root.
"""

from __future__ import annotations

import json
import re
import shutil

import pytest

from helpers import probe
from helpers.running import eventually
from helpers.spool import Spool
from helpers.standing import rows
from helpers.studio import file, product
from helpers.tiny_network import install
from retouchd.resources import resource

PROMISE = "19 attempts from inside the sandbox"
PROBE = "/opt/source/tests/helpers/probe.py"
PYTHON = "/opt/retouchd/bin/python3"
INSTEAD = (
    *("[Service]", "Type=oneshot", "Restart=no", "WatchdogSec=0", "ExecReload=", "ExecStart="),
    f"ExecStart={PYTHON} {PROBE}",
    "StandardOutput=truncate:/run/probe.json",
)
"""What makes the unit probe its sandbox instead of serving."""
MOST_EXPOSURE = 2.0
MATTES = {"name": "cutouts", "task": "matte", "model": "mine", "root": "/srv/retouch/mattes"}
AT_HOME = {"name": "home", "root": "/home/anna/retouch", "model": "classical"}
IN_TMP = {"name": "tmp", "root": "/tmp/retouch", "model": "classical"}


@pytest.fixture
def unit(installed):
    installed.reset()
    installed.install()
    return installed


def probed(unit, *more):
    unit.reset()
    unit.drop_in(*INSTEAD, *more)
    unit.run("systemctl", "start", "retouchd")
    return json.loads(unit.run("cat", "/run/probe.json").stdout)


@pytest.fixture(scope="module")
def reports(installed):
    """What came of each attempt, by where it was made."""
    installed.reset()
    installed.install()
    probe.lay_out(installed.container)
    return {
        "outside": json.loads(installed.run(PYTHON, PROBE).stdout),
        "inside": probed(installed),
        "inside, as root": probed(installed, "User=root", "Group=root"),
    }


@pytest.mark.parametrize("name", probe.ATTEMPTS)
def test_the_attempt_works_only_outside(reports, name, tally):
    assert reports["outside"][name] == "done", "an attempt that never works shows nothing"
    outcome = reports["inside"][name]
    tally.add(PROMISE, outcome)
    assert outcome != "done"


@pytest.mark.parametrize("name", probe.WRITES)
def test_even_root_could_not_write_there(reports, name):
    assert reports["inside, as root"][name] in ("EROFS", "EACCES")


def exposure(unit):
    shown = unit.run("systemd-analyze", "security", "--no-pager", "retouchd").stdout
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", shown)[1])


@pytest.mark.parametrize("lane", [None, AT_HOME, IN_TMP], ids=["default", "home", "tmp"])
def test_systemd_finds_nothing_to_complain_of_in_what_was_installed(unit, lane):
    unit.configure(*([lane] if lane else []))
    unit.install()
    unit.run("systemctl", "daemon-reload")

    answer = unit.run("systemd-analyze", "verify", "/etc/systemd/system/retouchd.service")

    assert answer.stdout + answer.stderr == ""
    assert exposure(unit) <= MOST_EXPOSURE


@pytest.mark.parametrize("name", ["cuda", "nas"])
def test_nor_with_its_drop_ins(unit, name):
    unit.drop_in((resource("systemd") / f"retouchd.service.d/{name}.conf.example").read_text())

    answer = unit.run("systemd-analyze", "verify", "/etc/systemd/system/retouchd.service")

    assert answer.stdout + answer.stderr == ""
    assert exposure(unit) <= MOST_EXPOSURE


def test_a_setting_taken_out_would_show(unit):
    before = exposure(unit)
    unit.drop_in("[Service]", "PrivateNetwork=no", "CapabilityBoundingSet=~", "ProtectSystem=no")
    assert exposure(unit) > MOST_EXPOSURE > before


def finished(unit, lane):
    return [r.name for r in rows(unit.state) if r.lane == lane and r.state == "done"]


def test_it_works_without_network_privileges_and_capabilities(unit):
    """With a network (on torch) and a classical model."""
    install(unit.state / "models")
    unit.configure(MATTES)
    unit.install()
    unit.systemctl("start")
    mattes = Spool(unit.container.root / "srv/retouch/mattes")
    unit.spool.drop_pair("photo")
    mattes.drop("photo.png", file(product()))
    assert eventually(lambda: finished(unit, "inpaint") and finished(unit, "cutouts"), 120), (
        unit.story()
    )
    hands = unit.hands()
    assert len(hands) >= 2
    for pid in (unit.main, *hands):
        status = unit.run("cat", f"/proc/{pid}/status").stdout
        values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
            assert int(values[f"Cap{kind}"], 16) == 0
        assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")
        assert "0" not in values["Uid"].split()
        network = unit.run("cat", f"/proc/{pid}/net/dev").stdout.splitlines()[2:]
        assert [line.split(":")[0].strip() for line in network] == ["lo"]


@pytest.mark.soak
@pytest.mark.parametrize("lane", [AT_HOME, IN_TMP], ids=["home", "tmp"])
def test_lanes_in_places_that_are_hidden_otherwise_work(unit, lane):
    """Only where the configuration names such a place, it is opened, and no further than that."""
    unit.configure(lane)
    unit.install()
    unit.run("systemctl", "daemon-reload")
    try:
        unit.systemctl("start")
        # /tmp of the container is its own while it runs.
        seen = unit.container.root / "dropped"
        spool = Spool(seen)
        spool.drop_pair("photo")
        unit.run("sh", "-c", f"cp /dropped/inbox/* {lane['root']}/inbox/")
        assert eventually(lambda: finished(unit, lane["name"]) == ["photo.png"]), unit.story()
    finally:
        unit.systemctl("stop")
        shutil.rmtree(unit.container.root / "dropped")
        unit.reset()
        unit.install()
