"""One snapshot of the ledger and the running service."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retouchd.config import Config, for_root
from retouchd.errors import DiskFull
from retouchd.job import Role, State
from retouchd.lanes import Lanes
from retouchd.ledger import InstanceLock, Ledger, NewDrop
from retouchd.live import NAME, read_live, write_live
from retouchd.status import jobs_a_minute, live_facts, read_status, status_text

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


def test_jobs_are_counted_by_state_and_by_lane(config: Config, ledger: Ledger) -> None:
    add(ledger)
    add(ledger, State.READY)
    status = read_status(config, ledger, NOW)
    assert status.jobs["waiting"] == status.lanes[0].jobs["ready"] == 1
    assert set(status.jobs) == set(status.lanes[0].jobs) == {state.value for state in State}
    assert "1 waiting, 1 ready" in status_text(status)


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
    assert "2.0 jobs a minute, 3m left" in status_text(read_status(config, ledger, NOW))
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
    assert "5.0 jobs a minute, 1m left" in status_text(read_status(config, ledger, NOW))
