"""Fault campaigns against the real command: see docs/reliability.md.

Each promise has a file. A few cases of it run in `make test`; the whole of it is marked `soak`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.campaign import Campaign, Expected, undisturbed_campaign
from helpers.container import Container
from helpers.fixtures import (
    children,
    eventually_fixture,
    inject,
    make_share,
    mount,
    notified,
    spool,
    start_all,
)
from helpers.reader import Reader
from helpers.shim import Shim, build
from helpers.spool import Spool
from helpers.storeroom import Storeroom
from helpers.tally import Tally
from helpers.tracing import Tracer
from helpers.unit import Unit

__all__ = [
    "children",
    "eventually_fixture",
    "inject",
    "make_share",
    "mount",
    "notified",
    "spool",
    "start_all",
]
TIMEOUT = 600
SOAK_TIMEOUT = 7200
_TALLY = pytest.StashKey[Tally]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/faults/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            soak = item.get_closest_marker("soak") is not None
            item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT if soak else TIMEOUT))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TALLY] = Tally()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash[_TALLY].lines() if _TALLY in config.stash else []
    if lines:
        terminalreporter.section("what the fault campaign did")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """What was done, for the report at the end."""
    return pytestconfig.stash[_TALLY]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled shim."""
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def shim(library: Path, tmp_path: Path) -> Iterator[Shim]:
    """System calls that go wrong on demand; ``shim.environment`` is for whom they concern."""
    made = Shim(library, tmp_path / "shim")
    yield made
    made.close()


@pytest.fixture(scope="session")
def expected_of(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Callable[[Campaign], None], str], Expected]:
    """``expected_of(fill, model)`` → what a run without faults makes of it, worked out once."""
    known: dict[tuple[object, str], Expected] = {}

    def find(fill: Callable[[Campaign], None], model: str = "flat") -> Expected:
        if (fill, model) not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            known[fill, model] = undisturbed_campaign(folder, fill, model)
        return known[fill, model]

    return find


@pytest.fixture
def tracer(tmp_path: Path) -> Tracer:
    """What a command asks the kernel for."""
    return Tracer(tmp_path)


@pytest.fixture
def bait(
    tmp_path: Path, make_lama: Callable[..., Path], make_onnx: Callable[..., Path]
) -> Iterator[Any]:
    """Hostile models, none of which has done anything when the test ends."""
    # It imports torch, which most campaigns need not wait for.
    from helpers.bait import Bait

    made = Bait(tmp_path / "bait", make_lama(), make_onnx())
    yield made
    made.check()
    made.listener.close()


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """A lane of each task, and drops for them."""
    return Campaign(tmp_path / "root")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unit]:
    """The service as it is installed, on a machine of its own with a real systemd."""
    container = Container(tmp_path_factory.mktemp("machine"))
    try:
        yield Unit(container)
    finally:
        container.close()


@pytest.fixture
def unit(installed: Unit, tally: Tally, request: pytest.FixtureRequest) -> Iterator[Unit]:
    """The installed service, of which nothing is left from the test before."""
    installed.reset()
    yield installed
    name = getattr(request.node, "originalname", request.node.name)
    tally.add("18 ends of the service under systemd", name, restarts=installed.restarts)


@pytest.fixture(scope="session")
def pairs_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, str]]:
    """``pairs_of(count)`` → content hashes of what an undisturbed run without systemd makes of
    ``unit.drop_pairs(count)``."""
    known: dict[str, str] = {}

    def find(count: int) -> dict[str, str]:
        if len(known) < count:
            other = Spool(tmp_path_factory.mktemp("undisturbed") / "root")
            for number in range(max(count, 8)):
                other.drop_pair(f"photo{number}", seed=number)
            assert other.once("--model", "classical").returncode == 0
            known.update(other.digests(other.outbox))
        return {f"photo{number}.png": known[f"photo{number}.png"] for number in range(count)}

    return find


@pytest.fixture(scope="module")
def storeroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storeroom]:
    """Lanes full of finished work, which can be had anew."""
    made = Storeroom(tmp_path_factory.mktemp("storeroom"))
    yield made
    made.close()


@pytest.fixture
def reader(tmp_path: Path, tally: Tally) -> Iterator[Callable[[Path], Reader]]:
    """``reader(root)``: somebody reads all outputs below it until the test ends, and none may be
    half there."""
    started: list[Reader] = []

    def begin(root: Path) -> Reader:
        started.append(Reader(root, tmp_path / f"reader{len(started)}"))
        return started[-1]

    yield begin
    for one in started:
        one.stop()
        tally.counts["4 whole outputs read meanwhile"]["readings"] += one.reads
        one.check()


os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[2] / "daemon"))
