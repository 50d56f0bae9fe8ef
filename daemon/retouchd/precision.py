"""Whether bfloat16 pays on this machine: measured, and decided by what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from retouchd.painter import Beat
from retouchd.samples import Region, Unit, is_hole, photo_like

Precision = Literal["fp32", "bf16"]
Paint = Callable[[Region], Unit]
Clock = Callable[[], float]

MIN_SPEEDUP = 1.15  # less is not worth a less exact picture
MAX_ERROR = 0.02  # five levels of 255; a hole's texture is made up anyway

_GLANCE, _LOOK, _ROUNDS = 64, 128, 3
_HOPELESS, _PLAIN = 0.8, 1.5
_PATIENCE = 1.0  # seconds after which no further round of a look begins


@dataclass(frozen=True)
class Comparison:
    """bfloat16 against float32 on one machine.

    speedup: float32's time over bfloat16's. error: mean absolute difference inside the hole, of
    samples in [0, 1]; not a number where an output had such.
    """

    speedup: float
    error: float

    @property
    def best(self) -> Precision:
        """bf16 only if it is clearly faster and close enough."""
        return "bf16" if self.speedup >= MIN_SPEEDUP and self.error <= MAX_ERROR else "fp32"

    @property
    def facts(self) -> Mapping[str, Any]:
        """For logs and notes."""
        return {"speedup": round(self.speedup, 2), "error": round(self.error, 4)}


def compare(exact: Paint, short: Paint, beat: Beat, clock: Clock = time.perf_counter) -> Comparison:
    """Let both paint the same regions; takes about as long as two 256×256 inferences.

    clock: seconds that count. Where one thread does all the work its CPU time is better than any
    other, because programs beside this one do not disturb it.

    A glance at a small picture also warms both up. Where it already tells that bfloat16 is slow,
    as without instructions for it, there is no closer look, which could take minutes.
    """
    glance = _look(exact, short, photo_like(_GLANCE), beat, clock, least=2)
    if glance.speedup <= _HOPELESS:
        return glance
    return _look(exact, short, photo_like(_LOOK), beat, clock, least=1)


def _look(
    exact: Paint, short: Paint, region: Region, beat: Beat, clock: Clock, least: int
) -> Comparison:
    """The best times of alternating rounds, until they are clear: other programs disturb some."""
    times: dict[Paint, list[float]] = {exact: [], short: []}
    images: dict[Paint, Unit] = {}
    late = time.perf_counter() + _PATIENCE
    for number in range(_ROUNDS):
        if number >= least and (_is_clear(times.values()) or time.perf_counter() > late):
            break
        for paint, taken in times.items():
            beat()
            began = clock()
            images[paint] = paint(region)
            taken.append(clock() - began)
    hole = is_hole(region[1])
    error = np.abs(images[exact][hole] - images[short][hole]).mean(dtype=np.float64)
    return Comparison(_speedup(times.values()), float(error))


def _speedup(times: Iterable[list[float]]) -> float:
    exact, short = map(min, times)
    return exact / short


def _is_clear(times: Iterable[list[float]]) -> bool:
    """Far from where the decision turns."""
    return not _HOPELESS < _speedup(times) < _PLAIN
