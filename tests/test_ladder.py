"""The out-of-memory ladder: which steps are taken, and what they cost whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from retouchd.errors import OutOfMemory
from retouchd.ladder import Outcome, Painted, begin, climb, finish_soundly
from retouchd.painter import Finish, Size
from retouchd.samples import Region, Unit
from retouchd.sanity import trouble_with


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
    failed: list[tuple[int, Size]] = field(default_factory=list)

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

    @property
    def ahead(self) -> bool:
        return False

    def doubt(self, answer: Unit, region: Region) -> str | None:
        return trouble_with(answer, *region)

    def start(self, regions: Sequence[Region]) -> Finish:
        return lambda: self.paint(regions)

    def tuned(self, settings: Mapping[str, Any]) -> Device:
        return self

    def exact(self) -> Device | None:
        return self.other

    @property
    def auto(self) -> dict[str, Any]:
        return {}

    def limit(self, size: Size) -> int:
        return self.batch

    def overran(self, batch: int, size: Size) -> None:
        self.failed.append((batch, size))

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
    outcomes = climb(begin(device, _regions(*values)), lambda: beats.append(len(device.tried)))
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


def test_the_painter_is_told_what_did_not_fit_even_with_an_empty_cache() -> None:
    small, crowded = Device(room=1), Device(room=4, cached=2)

    _climb(small, 1, 2, 3, 4)
    _climb(crowded, 1, 2, 3, 4)

    assert small.failed == [(4, (4, 4)), (2, (4, 4)), (2, (4, 4))]
    assert crowded.failed == []


class Eager(Device):
    """Tells at the start already that there is no room, as a GPU does."""

    @property
    def ahead(self) -> bool:
        return True

    def start(self, regions: Sequence[Region]) -> Finish:
        images = self.paint(regions)
        return lambda: images


def test_trouble_at_the_start_of_a_batch_waits_until_the_batch_is_finished() -> None:
    device, beats = Eager(room=2), []

    begun = begin(device, _regions(1, 13, 3, 4))

    assert device.tried == [4]
    assert _steps(climb(begun, lambda: beats.append(1))) == [
        *("single", "ValueError"),
        *("halve_batch", "halve_batch"),
    ]


def test_what_was_started_is_not_started_again() -> None:
    device = Eager(room=4)

    begun = begin(device, _regions(1, 2))
    device.room = 0

    assert _steps(climb(begun, lambda: None)) == [None, None]
    assert device.tried == [2]


@dataclass
class Overflowing(Device):
    """Half precision that gives ``bad`` for a bright region."""

    bad: float = float("nan")

    def paint(self, regions: Sequence[Region]) -> list[Unit]:
        images = super().paint(regions)
        return [np.full_like(image, self.bad) if image.max() > 100 else image for image in images]


def _soundly(device: Device, *values: int) -> list[Outcome]:
    return finish_soundly(begin(device, _photos(*values)), lambda: None)


def _photos(*values: int) -> list[Region]:
    photos = []
    for value in values:
        image = np.full((4, 4, 3), value, np.uint8)
        image[0] = value // 2  # a wall of one colour would be a flat photo
        photos.append((image, np.zeros((4, 4), np.uint8)))
    return photos


@pytest.mark.parametrize(
    ("bad", "why"), [(float("nan"), "number"), (0.0, "black"), (0.5, "one colour")]
)
def test_a_result_that_can_t_be_right_is_painted_again_in_float32(bad: float, why: str) -> None:
    device = Overflowing(room=8, bad=bad, other=Device(room=8, name="fp32"))

    outcomes = _soundly(device, 10, 200, 30)

    assert [o.facts["device"] for o in outcomes if isinstance(o, Painted)] == ["gpu", "fp32", "gpu"]
    assert [bool(o.repainted) for o in outcomes if isinstance(o, Painted)] == [False, True, False]
    assert why in str(outcomes[1].repainted)  # type: ignore[union-attr]
    assert all(isinstance(o, Painted) and o.trouble is None for o in outcomes)
    assert device.tried == [3]
    assert device.other is not None
    assert device.other.tried == [1], "only that region"


def test_a_result_that_stays_wrong_in_float32_is_told_with_both() -> None:
    device = Overflowing(room=8, other=Overflowing(room=8, bad=0.0))

    (outcome,) = _soundly(device, 200)

    assert isinstance(outcome, Painted)
    assert outcome.trouble == "its output is black, in float32 as well"


def test_a_float32_result_that_can_t_be_right_has_nothing_to_be_painted_by() -> None:
    (outcome,) = _soundly(Overflowing(room=8), 200)

    assert isinstance(outcome, Painted)
    assert outcome.trouble == "its output is not a number everywhere"
    assert outcome.repainted is None
