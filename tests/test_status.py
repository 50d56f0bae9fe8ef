"""One snapshot of the ledger and the running service."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retouchd.cli.status import status as tell_status
from retouchd.config import Config, for_root, likely_state
from retouchd.errors import ConfigInvalid, DiskFull
from retouchd.job import Role, State
from retouchd.lanes import Lanes
from retouchd.ledger import InstanceLock, Ledger, NewDrop
from retouchd.live import NAME, read_live, write_live
from retouchd.origin import Origin
from retouchd.status import (
    jobs_a_minute,
    live_facts,
    read_running,
    read_status,
    status_text,
)

NOW = 10_000.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = for_root(tmp_path)
    config.state.mkdir()
    return config


@pytest.fixture
def ledger(config: Config) -> Iterator[Ledger]:
    made = Ledger(config.state / "ledger.sqlite3")
    yield made
    made.close()


@pytest.fixture
def running(config: Config) -> Iterator[None]:
    """As if this process were the service."""
    with InstanceLock(config.state / "ledger.sqlite3"):
        yield


def add(ledger: Ledger, *steps: State, **columns: Any) -> None:
    job = ledger.add(
        lane="inpaint",
        task="inpaint",
        source="mask",
        state=State.WAITING,
        drops=[NewDrop(Role.IMAGE, "p.png", None)],
        now=NOW,
    )
    for step in steps:
        ledger.change(job, step, now=NOW, **columns)


def test_before_the_first_start_there_is_nothing_to_tell_but_that(config: Config) -> None:
    status = read_status(config, None, NOW)
    assert not status.running
    assert status_text(status)[0].endswith("not running")
    assert "no jobs yet" in status_text(status)
    assert any(line.startswith("nothing has worked here so far") for line in status_text(status))


def test_jobs_are_counted_by_state_and_by_lane(config: Config, ledger: Ledger) -> None:
    add(ledger)
    add(ledger, State.READY)
    status = read_status(config, ledger, NOW)
    assert status.jobs["waiting"] == status.lanes[0].jobs["ready"] == 1
    assert set(status.jobs) == set(status.lanes[0].jobs) == {state.value for state in State}
    assert "1 waiting, 1 ready" in status_text(status)


def test_what_was_set_aside_is_told_with_its_place_and_the_way_out(
    config: Config, ledger: Ledger
) -> None:
    add(ledger, State.READY)
    assert "quarantined" not in "".join(status_text(read_status(config, ledger, NOW)))
    add(ledger, State.QUARANTINED)
    text = "\n".join(status_text(read_status(config, ledger, NOW)))
    assert "1 quarantined" in text
    assert "lies in failed/, each with a text" in text
    assert "`retouchd retry --failed`" in text
    there = "retouchd retry --failed --root /r"
    assert f"`{there}`" in "\n".join(status_text(read_status(config, ledger, NOW), there))


@pytest.mark.usefixtures("running")
def test_a_running_service_tells_its_lanes_troubles(config: Config, ledger: Ledger) -> None:
    lanes = Lanes(config.lanes)
    for lane in lanes:
        lane.watching, lane.file_system, lane.settling = "events", "xfs", 3
        lane.pause_for(DiskFull(path="/x", cause="No space left"), NOW)
    write_live(config.state, live_facts(lanes, "cuda:0", os.getpid(), NOW))
    status = read_status(config, ledger, NOW)
    text = "\n".join(status_text(status))
    assert f"running (process {os.getpid()}) on cuda:0" in text
    assert "(xfs, watched by events)" in text
    assert "3 files are still arriving" in text
    assert "PAUSED: There is no space left for /x" in text
    assert "Free some space" in text
    assert json.loads(json.dumps(status.to_json()))["lanes"][0]["paused"]


@pytest.mark.usefixtures("running")
def test_what_runs_is_shown_and_not_what_the_file_says(
    config: Config, ledger: Ledger, tmp_path: Path
) -> None:
    started = for_root(tmp_path, ["lanes.inpaint.model=classical", "lanes.matte.inbox=/else"])
    write_live(config.state, live_facts(Lanes(started.lanes), "cpu", os.getpid(), NOW))
    inpaint, matte = read_status(config, ledger, NOW).lanes
    assert (inpaint.model, matte.inbox) == ("classical", "/else")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("watch", "shown"), [("auto", "events"), ("scan", "scan")])
def test_before_an_inbox_was_looked_at_it_is_told_how_it_will_be_watched(
    config: Config, ledger: Ledger, watch: str, shown: str
) -> None:
    """Here the folder is on a local disk, where events work."""
    facts = live_facts(Lanes(config.lanes), "cpu", os.getpid(), NOW, watch=watch)
    write_live(config.state, facts)
    assert {lane.watching for lane in read_status(config, ledger, NOW).lanes} == {shown}


@pytest.mark.usefixtures("running")
def test_how_the_file_differs_from_what_runs_is_told(
    config: Config, ledger: Ledger, tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("good")
    origin = Origin(file)

    def told(trouble: ConfigInvalid | None = None) -> str:
        facts = live_facts(Lanes(config.lanes), "cpu", os.getpid(), NOW, origin=origin.facts())
        write_live(config.state, facts)
        if trouble is None:
            return "\n".join(status_text(read_status(config, ledger, NOW)))
        live = read_live(config.state)
        assert live
        running = read_running(config.state, live, ledger, NOW, trouble)
        assert running.file == str(file)
        return "\n".join(status_text(running))

    wrong = ConfigInvalid(where="c.yaml, line 3", cause="it is bad", fix="Make it good.")
    assert "DIFFERS" not in told()
    file.write_text("bad")
    assert f"THE FILE DIFFERS: {file} was changed since" in told()
    assert f"{file} can't be used: c.yaml, line 3: it is bad\n  Make it good." in told(wrong)
    origin.offer()
    origin.refuse(wrong)
    assert f"{file} was rejected: c.yaml, line 3: it is bad\n  Make it good." in told()
    file.write_text("better")
    assert "was changed since" in told()
    origin.offer()
    origin.take()
    assert "DIFFERS" not in told()
    file.unlink()
    assert f"{file} can't be read" in told()


def test_while_no_service_runs_a_wrong_file_is_told_and_not_an_old_ledger(
    config: Config, ledger: Ledger, tmp_path: Path
) -> None:
    with ledger.transaction() as db:
        db.execute("PRAGMA user_version = 99")
    file = tmp_path / "c.yaml"
    file.write_text(f"state: {config.state}\nlanes: 5\n")
    with pytest.raises(ConfigInvalid, match="lanes"):
        tell_status(file)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("state: /s\nlanes: 5\n", "/s"),
        ("log: {}\nstate: '/s t'  # here\nlanes: [\n", "/s t"),
        ("state: /s # here\nlanes: [\n", "/s"),
        ("lanes: [", "/var/lib/retouchd"),
        ("state: [3]", "/var/lib/retouchd"),
        ("", "/var/lib/retouchd"),
    ],
)
def test_a_file_that_can_not_be_used_still_tells_where_the_state_is(
    tmp_path: Path, text: str, state: str
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert likely_state(tmp_path / "c.yaml") == Path(state)
    assert likely_state(tmp_path / "none.yaml") == Path("/var/lib/retouchd")


def test_facts_of_a_service_that_died_are_not_shown(config: Config, ledger: Ledger) -> None:
    write_live(config.state, live_facts(Lanes(config.lanes), "cuda:0", 1, NOW))
    assert read_live(config.state) is None
    assert not read_status(config, ledger, NOW).running


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("before", [None, '{"pid": 1, "device": "cuda:0"}', "{torn", "[]"])
def test_a_service_that_still_loads_its_models_runs(
    config: Config, ledger: Ledger, before: str | None
) -> None:
    """The facts of the run before are not its own."""
    if before:
        (config.state / NAME).write_text(before)
    status = read_status(config, ledger, NOW)
    assert status.running
    assert status.pid == os.getpid()
    assert "cuda" not in status.device


def test_a_state_folder_that_can_not_be_written_stops_nothing(tmp_path: Path) -> None:
    write_live(tmp_path / "nowhere", {})


def test_the_rate_tells_how_long_the_rest_takes(config: Config, ledger: Ledger) -> None:
    steps = (State.READY, State.RUNNING, State.PUBLISHED, State.DONE)
    for _ in range(20):
        add(ledger, *steps, completed_at=NOW - 60)
    for _ in range(5):
        add(ledger, State.READY)
    status = read_status(config, ledger, NOW)
    assert "2.0 jobs a minute, 3m left" in status_text(replace(status, running=True))
    assert not any("left" in line for line in status_text(status))
    add(ledger, *steps, completed_at=NOW - 3600)
    assert read_status(config, ledger, NOW).rate == 2.0


def test_a_service_that_just_started_is_judged_by_its_own_time(ledger: Ledger) -> None:
    for _ in range(10):
        add(ledger, State.READY, State.RUNNING, State.PUBLISHED, State.DONE, completed_at=NOW - 5)
    assert jobs_a_minute(ledger, NOW - 20, NOW) == 30.0
    assert jobs_a_minute(ledger, None, NOW) == 1.0


def test_little_left_is_at_least_a_minute(config: Config, ledger: Ledger) -> None:
    for _ in range(50):
        add(ledger, State.READY, State.RUNNING, State.PUBLISHED, State.DONE, completed_at=NOW)
    add(ledger, State.READY)
    status = replace(read_status(config, ledger, NOW), running=True)
    assert "5.0 jobs a minute, 1m left" in status_text(status)


def test_what_a_killed_service_left_is_not_said_to_run(config: Config, ledger: Ledger) -> None:
    add(ledger, State.READY, State.RUNNING)
    add(ledger)
    status = read_status(config, ledger, NOW)
    head, counts, next_line = status_text(status)[:3]
    assert head.endswith("not running")
    assert counts == "1 waiting, 1 interrupted"
    assert "taken up" in next_line
    assert "1 running" in status_text(replace(status, running=True))[1]
    assert status.jobs["running"] == 1


@pytest.mark.usefixtures("running")
def test_a_ledger_that_takes_nothing_is_told_with_what_to_do(
    config: Config, ledger: Ledger
) -> None:
    told = {"trouble": "The disk is full.", "remedy": "Free some."}
    write_live(config.state, live_facts(Lanes(()), "cpu", os.getpid(), NOW, ledger=told))
    status = read_status(config, ledger, NOW)
    text = "\n".join(status_text(status))
    assert "PAUSED: The disk is full.\n  Free some." in text
    assert status.to_json()["ledger_trouble"] == "The disk is full."
    assert status.to_json()["ledger_remedy"] == "Free some."


@pytest.mark.usefixtures("running")
def test_on_a_full_disk_facts_take_no_room_that_they_have_not(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is then that they have something to tell."""
    write_live(config.state, {"pid": os.getpid(), "long": "x" * 5000})
    sizes = {path.stat().st_size for path in config.state.glob(f"{NAME}*")}
    assert sizes == {8192}
    inodes = {path.stat().st_ino for path in config.state.glob(f"{NAME}*")}
    for told in ("short", "shorter"):
        write_live(config.state, {"pid": os.getpid(), told: told})
        assert read_live(config.state) == {"pid": os.getpid(), told: told}
    assert {path.stat().st_size for path in config.state.glob(f"{NAME}*")} == {8192}
    assert {path.stat().st_ino for path in config.state.glob(f"{NAME}*")} == inodes
    monkeypatch.setattr("retouchd.live.change_places", lambda one, other: False)
    write_live(config.state, {"pid": os.getpid(), "by": "name"})
    assert read_live(config.state) == {"pid": os.getpid(), "by": "name"}


@pytest.mark.usefixtures("running")
def test_who_reads_while_the_file_changes_reads_again(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"pid": os.getpid(), "by": "name"}
    real, torn = Path.read_text, ['{"pid": 1, "la', json.dumps(facts) + '"old"}']

    def read(path: Path, *args: Any, **named: Any) -> str:
        return torn.pop() if torn and path.name == NAME else real(path, *args, **named)

    write_live(config.state, facts)
    monkeypatch.setattr(Path, "read_text", read)
    assert read_live(config.state) == facts
    assert not torn
