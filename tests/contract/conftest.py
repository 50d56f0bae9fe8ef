"""Engines with one model, the fixture `spec` of each file, under the name ``model``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from helpers.gate import Gate
from retouchd.config import Device
from retouchd.engine import Engine
from retouchd.local_engine import LocalEngine
from retouchd.manifest import ModelSpec


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.way.set()


@pytest.fixture
def open_engine(spec: ModelSpec, gate: Gate) -> Iterator[Callable[..., Engine]]:
    """``open_engine(**options)`` → one that is warm and behind the gate; closed at the end."""
    opened: list[LocalEngine] = []

    def make(**options: Any) -> Engine:
        device = Device(use="cpu", threads=1)
        opened.append(LocalEngine({"model": spec}, device, on_device=gate, **options))
        opened[-1].warm_up()
        return opened[-1]

    yield make
    gate.way.set()
    for engine in opened:
        engine.close()
