"""The out-of-memory ladder: which steps are taken, and what they cost whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retouchd.errors import OutOfMemory
from retouchd.ladder import Outcome, Painted, climb
from retouchd.samples import Region, Unit


@dataclass
class Device:
    """A painter whose memory holds ``room`` regions once its cache is empty."""

    room: int
    cached: int = 0
    other: Device | None = None
    name: str = "gpu"
    batch: int = 8
    tried: list[int] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        return {"device": self.name}

    def paint(self, regions: Sequence[Region]) -> list[Unit]:
        self.tried.append(len(regions))
        if len(regions) > self.room - self.cached:
            raise OutOfMemory(what="a test")
        if any(image.max() == 13 for image, _ in regions):
            raise ValueError("unlucky")
        return [image.astype(np.float32) for image, _ in regions]

    def relieve(self) -> None:
        self.cached = 0

    def fallback(self) -> Device | None:
        return self.other

    def close(self) -> None:
        raise AssertionError("not the ladder's business")


def _regions(*values: int) -> list[Region]:
    return [(np.full((4, 4, 3), value, np.uint8), np.zeros((4, 4), np.uint8)) for value in values]


def _climb(device: Device, *values: int) -> list[Outcome]:
    beats: list[int] = []
    outcomes = climb(device, _regions(*values), lambda: beats.append(len(device.tried)))
    assert len(beats) >= len(device.tried), "every attempt is a sign of progress"
    return outcomes


def _steps(outcomes: list[Outcome]) -> list[str | None]:
    return [o.step if isinstance(o, Painted) else type(o).__name__ for o in outcomes]


def _values(outcomes: list[Outcome]) -> list[float]:
    return [float(o.image[0, 0, 0]) for o in outcomes if isinstance(o, Painted)]


def test_with_room_enough_nothing_is_noted() -> None:
    outcomes = _climb(Device(room=4), 1, 2, 3, 4)

    assert _steps(outcomes) == [None] * 4
    assert _values(outcomes) == [1, 2, 3, 4]


def test_the_first_step_is_to_empty_the_cache() -> None:
    device = Device(room=4, cached=2)

    assert _steps(_climb(device, 1, 2, 3, 4)) == ["empty_cache"] * 4
    assert device.tried == [4, 4]


def test_then_the_batch_is_halved_and_keeps_its_order() -> None:
    device = Device(room=2)
    outcomes = _climb(device, 1, 2, 3, 4, 5)

    assert _values(outcomes) == [1, 2, 3, 4, 5]
    assert _steps(outcomes) == ["halve_batch", "halve_batch", "single", *["halve_batch"] * 2]
    assert [o.batch for o in outcomes if isinstance(o, Painted)] == [2, 2, 1, 2, 2]


def test_then_regions_go_one_by_one() -> None:
    assert _steps(_climb(Device(room=1), 1, 2)) == ["single", "single"]


def test_then_the_cpu_is_asked() -> None:
    outcomes = _climb(Device(room=0, other=Device(room=1, name="cpu")), 1, 2)

    assert _steps(outcomes) == ["cpu", "cpu"]
    assert {o.facts["device"] for o in outcomes if isinstance(o, Painted)} == {"cpu"}


def test_when_every_step_failed_it_is_out_of_memory() -> None:
    outcomes = _climb(Device(room=0, other=Device(room=0)), 1, 2)

    assert _steps(outcomes) == ["OutOfMemory", "OutOfMemory"]
    assert "4×4 pixels" in str(outcomes[0])


def test_without_a_fallback_it_is_out_of_memory_at_once() -> None:
    assert _steps(_climb(Device(room=0), 1)) == ["OutOfMemory"]


def test_a_region_that_breaks_the_model_spoils_no_other() -> None:
    assert _steps(_climb(Device(room=8), 1, 13, 3)) == [None, "ValueError", None]


def test_a_region_that_breaks_the_model_spoils_no_other_under_pressure_either() -> None:
    outcomes = _climb(Device(room=2), 1, 13, 3, 4)

    assert _steps(outcomes) == ["single", "ValueError", "halve_batch", "halve_batch"]


def test_a_failed_attempt_lets_go_of_its_memory_before_the_next() -> None:
    """A traceback keeps the frames, and with them the tensors that filled the device."""

    class Watched(Device):
        def paint(self, regions: Sequence[Region]) -> list[Unit]:
            assert not self.kept or self.kept[-1]() is None
            import weakref

            tensor = np.zeros(10)
            self.kept.append(weakref.ref(tensor))
            return super().paint(regions)

    device = Watched(room=1)

    assert _steps(_climb(device, 1, 2, 3, 4)) == ["single"] * 4
    assert len(device.kept) == 8
