"""Whether the service is alive, and who is told what holds it up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retouchd.blackbox import DEVICE
from retouchd.call import Call
from retouchd.clock import Clock
from retouchd.config import Lane, parse
from retouchd.errors import ConfigInvalid, DiskFull, InboxHeld, InboxTaken, ModelUnusable, RootLost
from retouchd.job import State
from retouchd.lanes import LaneState
from retouchd.pruning import Pruned
from retouchd.retention import Decision
from retouchd.roots import RootRef
from retouchd.service import DEVICE_PATIENCE, Service

NOW = 10_000.0


class Parts:
    """As much of the machinery as the question needs."""

    def __init__(self) -> None:
        self.lanes: list[Any] = []
        self.ledger: Any = None
        self.engine = SimpleNamespace(last_beat=lambda: self.beat)
        self.beat = NOW
        self.noted: list[list[str]] = []
        self.note_stuck = self.noted.append
        self.pruned: list[str] = []
        self.pruning = SimpleNamespace(prune_all=self._prune)

    def _prune(self, lanes: list[Lane], now: float) -> Iterator[Pruned]:
        for lane in lanes:
            self.pruned.append(lane.name)
            yield Pruned(lane, Decision(()))


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def service(parts: Parts, tmp_path: Path) -> Iterator[Service]:
    config = parse(f"lanes: [{{name: web, root: {tmp_path}}}]", "x")
    made = Service(
        config,
        parts,  # type: ignore[arg-type]
        Clock(),
        lambda *words, **facts: None,
        once=False,
        read_config=lambda: config,
    )
    made._watching._intakes["web"] = intake(NOW)
    yield made
    made._watching._intakes.clear()
    made._watching.stop()


def intake(beat: float, *, alive: bool = True) -> Any:
    return SimpleNamespace(is_alive=lambda: alive, beat=beat)


def test_a_service_whose_parts_advance_is_alive(service: Service, parts: Parts) -> None:
    assert service._alive(NOW)
    assert parts.noted == [[]]


def test_systemd_is_told_that_a_reload_was_rejected(service: Service, parts: Parts) -> None:
    counts = dict.fromkeys(State, 0)
    parts.ledger = SimpleNamespace(counts=lambda: counts, done_since=lambda since: 0)
    assert "rejected" not in service._summary()
    service._origin.refuse(ConfigInvalid(where="c.yaml", cause="it is bad", fix="Mend it."))
    assert "the changed configuration was rejected" in service._summary()
    service._origin.take()
    assert "rejected" not in service._summary()


def test_a_stuck_device_is_noted_and_forgotten_when_it_goes_on(
    service: Service, parts: Parts
) -> None:
    parts.beat = NOW - DEVICE_PATIENCE
    assert not service._alive(NOW)
    parts.beat = NOW
    assert service._alive(NOW)
    assert parts.noted == [[DEVICE], []]


@pytest.mark.parametrize("stuck", [intake(NOW - 1e4), intake(NOW, alive=False)])
def test_a_stuck_intake_is_noted_by_its_lane(service: Service, parts: Parts, stuck: Any) -> None:
    service._watching._intakes["web"] = stuck
    assert not service._alive(NOW)
    assert parts.noted == [["the intake of lane web"]]


def test_a_lane_without_space_is_pruned_and_soon_and_one_without_its_share_is_not(
    service: Service, parts: Parts
) -> None:
    """A full disk may wait for what pruning gives; a lost one has nothing to give."""
    lanes = {
        name: LaneState(parse(f"lanes: [{{name: {name}, root: /x}}]", "x").lanes[0])
        for name in ("well", "full", "lost")
    }
    for lane in lanes.values():
        lane.set_roots(
            {role: RootRef(lane.name, role, f"/x/{role}", "m") for role in lane.config.folders}
        )
    parts.lanes = list(lanes.values())
    assert service._prune_every() == 3600
    lanes["lost"].pause_for(RootLost(path="/x", cause="gone", lane="lost"), NOW)
    assert service._prune_every() == 3600
    lanes["full"].pause_for(DiskFull(path="/x", cause="no space", needed=9), NOW)
    assert service._prune_every() == 60
    service._prune_all()
    assert parts.pruned == ["well", "full"]


@pytest.mark.parametrize("taken", [True, False])
def test_whose_the_inboxes_are_is_asked_before_any_model_is_loaded(
    service: Service,
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    taken: bool,
) -> None:
    """Loading may take minutes, all for nothing where another service has the inbox."""

    def call(asked: Call) -> None:
        steps.append(asked.task)
        if taken:
            raise InboxTaken(path="/x", by="them", seen="it is running", fix="Stop it.")
        raise RootLost(path="/x", cause="gone", lane="web")

    def warm_up() -> None:
        steps.append("warm_up")
        raise ModelUnusable(model="m", cause="enough seen", fix="-")

    steps: list[str] = []
    on_a_local_disk = SimpleNamespace(remote=False)
    monkeypatch.setattr("retouchd.watching.mount_of", lambda *_: on_a_local_disk)
    lane = LaneState(parse(f"lanes: [{{name: web, root: {tmp_path}}}]", "x").lanes[0])
    parts.lanes = [lane]
    parts.engine = SimpleNamespace(warm_up=warm_up)
    parts.ledger = SimpleNamespace(id="ours", path=tmp_path / "l")  # type: ignore[attr-defined]
    parts.hands = SimpleNamespace(call=call)  # type: ignore[attr-defined]
    parts.close = lambda: steps.append("close")  # type: ignore[attr-defined]
    with pytest.raises(InboxHeld if taken else ModelUnusable):
        service.run()
    assert steps == ["look_ahead", *(() if taken else ("warm_up",)), "close"]


class Still:
    """Finds these processes to stand still."""

    def __init__(self, *pids: int) -> None:
        self._pids = set(pids)

    def look(self, pids: Any, now: float) -> set[int]:
        return self._pids & set(pids)


@pytest.mark.parametrize(
    ("busy", "still", "waits"),
    [
        (set(), (), False),
        ({"ill"}, (), True),
        ({"ill"}, (2,), False),
        ({"ill", "well"}, (2,), True),
        ({"ill", "well"}, (2, 1), False),
        ({"third"}, (2, 1), True),
    ],
)
def test_the_end_waits_for_jobs_unless_their_lanes_hang(
    service: Service, parts: Parts, busy: set[str], still: tuple[int, ...], waits: bool
) -> None:
    parts.hands = SimpleNamespace(at_work=lambda: {1: "well", 2: "ill"})  # type: ignore[attr-defined]
    parts.pipeline = SimpleNamespace(busy_lanes=busy)  # type: ignore[attr-defined]
    assert service._worth_waiting(Still(*still)) is waits  # type: ignore[arg-type]


@pytest.mark.parametrize("who", ["intake", "pipeline", "itself"])
def test_whoever_hears_that_the_ledger_takes_nothing_systemd_and_status_are_told(
    service: Service, parts: Parts, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def start_due() -> int:
        if who == "itself":
            raise full
        return 0

    counts = dict.fromkeys(State, 0)
    parts.ledger = SimpleNamespace(counts=lambda: counts, done_since=lambda since: 0)
    parts.pipeline = SimpleNamespace(  # type: ignore[attr-defined]
        start_due=start_due, ledger_trouble=full if who == "pipeline" else None
    )
    heard = SimpleNamespace(ledger_trouble=full if who == "intake" else None)
    lane = SimpleNamespace(name="web")
    service._watching._pairs = lambda: [(lane, heard)]  # type: ignore[assignment, list-item]
    service._prune = service._beat = lambda: None  # type: ignore[method-assign]
    service._step()
    assert "the ledger can't be written" in service._summary()
    written: list[dict[str, Any]] = []
    monkeypatch.setattr("retouchd.service.write_live", lambda state, facts: written.append(facts))
    service._publish("cpu")
    told = written[0]["ledger"]
    assert "database or disk is full" in told["trouble"]
    assert "Free some space" in told["remedy"]
