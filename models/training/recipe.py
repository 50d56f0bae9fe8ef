"""Pure: the numbers of a training, and what they say about each of its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate

from retouchd.nets.lama import LamaShape


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


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out, given the photos.

    rate: the highest learning rate; it rises over ``warmup`` steps, then falls as a cosine to
    ``floor`` of it. critic_rate: the critic's, constant.
    ema: the most that the running average keeps per step.
    reuse: see ``data.Feed``.
    Weights of losses: the L1 in the hole has 1. penalty_every: steps between two R1 penalties.
    checks: what is held out, as pairs of side and number of samples.
    """

    shape: LamaShape
    stages: tuple[Stage, ...]
    steps: int
    seed: int = 1
    rate: float = 2.5e-4
    warmup: int = 200
    floor: float = 0.02
    critic_rate: float = 1e-3
    critic_width: int = 48
    ema: float = 0.999
    reuse: int = 1
    frequency: float = 8.0
    detail: float = 0.1
    adversary: float = 0.1
    matching: float = 2.0
    gram: float = 5.0
    penalty: float = 0.003
    penalty_every: int = 16
    checks: tuple[tuple[int, int], ...] = ((128, 48), (256, 24))

    def with_batches(self, factor: float) -> Recipe:
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
        """The generator's learning rate at a step."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.rate * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2)

    def keep(self, step: int) -> float:
        """What the running average keeps at a step; little at first, when all is still new."""
        return min(self.ema, (1 + step) / (10 + step))


def cpu() -> Recipe:
    """For two slow hours on one or two processor cores."""
    stages = (
        Stage(0.15, 128, 8),
        Stage(0.75, 128, 8, adversarial=True),
        Stage(0.1, 256, 2, adversarial=True),
    )
    return Recipe(LamaShape(inputs=7, ngf=24, blocks=6), stages, steps=4000, critic_width=24)


def gpu() -> Recipe:
    """For about 25 minutes on one large GPU with 16 processor cores."""
    stages = (
        Stage(0.45, 128, 128),
        Stage(0.15, 256, 64),
        Stage(0.30, 256, 64, adversarial=True),
        Stage(0.10, 320, 40, adversarial=True),
    )
    shape = LamaShape(inputs=7, ngf=32, blocks=11)  # in float16 just under 16 MiB
    return Recipe(shape, stages, steps=16000, rate=5e-4, warmup=500, reuse=2)


def tiny() -> Recipe:
    """Seconds on a CPU: every part takes part, nothing is learned that is of use."""
    stages = (Stage(0.6, 32, 4), Stage(0.4, 48, 4, adversarial=True))
    shape = LamaShape(inputs=7, ngf=8, downs=2, blocks=1)
    return Recipe(
        shape,
        stages,
        steps=20,
        rate=3e-3,
        warmup=4,
        critic_width=8,
        reuse=2,
        penalty_every=2,
        checks=((32, 4),),
    )


PRESETS = {"cpu": cpu, "gpu": gpu, "tiny": tiny}
