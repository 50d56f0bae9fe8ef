"""Pure: the numbers of a training of lama-compact."""

from __future__ import annotations

from dataclasses import dataclass

from models.training.schedule import Schedule, Stage

from retouchd.nets.lama import LamaShape


@dataclass(frozen=True, kw_only=True)
class Recipe(Schedule):
    """Everything that decides what comes out, given the photos.

    critic_rate: the critic's learning rate, constant; ``rate`` is the generator's.
    Weights of losses: the L1 in the hole has 1. penalty_every: steps between two R1 penalties.
    """

    shape: LamaShape
    critic_rate: float = 1e-3
    critic_width: int = 48
    frequency: float = 8.0
    detail: float = 0.1
    adversary: float = 0.1
    matching: float = 2.0
    gram: float = 5.0
    penalty: float = 0.003
    penalty_every: int = 16


def cpu() -> Recipe:
    """For two slow hours on one or two processor cores."""
    stages = (
        Stage(0.15, 128, 8),
        Stage(0.75, 128, 8, adversarial=True),
        Stage(0.1, 256, 2, adversarial=True),
    )
    shape = LamaShape(inputs=7, ngf=24, blocks=6)
    return Recipe(shape=shape, stages=stages, steps=4000, critic_width=24)


def gpu() -> Recipe:
    """For about 25 minutes on one large GPU with 16 processor cores."""
    stages = (
        Stage(0.45, 128, 128),
        Stage(0.15, 256, 64),
        Stage(0.30, 256, 64, adversarial=True),
        Stage(0.10, 320, 40, adversarial=True),
    )
    shape = LamaShape(inputs=7, ngf=32, blocks=11)  # in float16 just under 16 MiB
    return Recipe(shape=shape, stages=stages, steps=16000, rate=5e-4, warmup=500, reuse=2)


def tiny() -> Recipe:
    """Seconds on a CPU: every part takes part, nothing is learned that is of use."""
    return Recipe(
        shape=LamaShape(inputs=7, ngf=8, downs=2, blocks=1),
        stages=(Stage(0.6, 32, 4), Stage(0.4, 48, 4, adversarial=True)),
        steps=20,
        rate=3e-3,
        warmup=4,
        critic_width=8,
        reuse=2,
        penalty_every=2,
        checks=((32, 4),),
    )


PRESETS = {"cpu": cpu, "gpu": gpu, "tiny": tiny}
