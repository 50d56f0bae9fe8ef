"""Pure: stages, learning rate and running average, whatever the network is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Self


@dataclass(frozen=True)
class Stage:
    """A stretch of steps with pictures of one size.

    share: of all steps. side: pixels, a multiple of 8. batch: samples per step.
    adversarial: whether a critic takes part.
    """

    share: float
    side: int
    batch: int
    adversarial: bool = False


@dataclass(frozen=True)
class Span:
    """A stage in steps: ``first`` to ``last`` − 1."""

    stage: Stage
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What happens when.

    rate: the highest learning rate; it rises over ``warmup`` steps, stays for the share ``hold``
    of all steps, then falls as a cosine to ``floor`` of it.
    ema: the most that the running average keeps per step.
    reuse: see ``stream.Feed``.
    checks: what is held out, as pairs of side and number of samples.
    """

    stages: tuple[Stage, ...]
    steps: int
    seed: int = 1
    rate: float = 2.5e-4
    warmup: int = 200
    hold: float = 0.0
    floor: float = 0.02
    ema: float = 0.999
    reuse: int = 1
    checks: tuple[tuple[int, int], ...] = ((128, 48), (256, 24))

    def with_batches(self, factor: float) -> Self:
        """The same with batches larger by a factor, divisible by ``reuse``."""
        sizes = [max(1, round(s.batch * factor / self.reuse)) * self.reuse for s in self.stages]
        stages = [replace(s, batch=n) for s, n in zip(self.stages, sizes, strict=True)]
        return replace(self, stages=tuple(stages))

    def spans(self) -> list[Span]:
        """The stages in steps, without gaps."""
        total = sum(stage.share for stage in self.stages)
        ends = [round(self.steps * s / total) for s in accumulate(s.share for s in self.stages)]
        starts = [0, *ends[:-1]]
        return [Span(*parts) for parts in zip(self.stages, starts, ends, strict=True)]

    def learning_rate(self, step: int) -> float:
        """The learning rate at a step."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        start = max(self.warmup, round(self.hold * self.steps))
        done = min(1.0, max(0, step - start) / max(1, self.steps - start))
        return self.rate * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2)

    def keep(self, step: int) -> float:
        """What the running average keeps at a step; little at first, when all is still new."""
        return min(self.ema, (1 + step) / (10 + step))
