"""Pure: the numbers of a training of cvunet-compact."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.training.schedule import Schedule, Stage

from retouchd.nets.cvunet import CvUNetShape


@dataclass(frozen=True, kw_only=True)
class Recipe(Schedule):
    """Everything that decides what comes out, given photos and cut-outs.

    drawn: share of subjects that are procedural. decay: weight decay of the convolutions.
    band: how much more an error near the edge counts in ``l1``; reach: how near, as a share of
    the side. The others are the weights of losses. settling: samples that set the statistics of
    the average's batch norms before it is measured or exported, of the first check's side.
    """

    shape: CvUNetShape = field(default_factory=CvUNetShape)
    drawn: float = 0.35
    decay: float = 0.02
    band: float = 4.0
    reach: float = 0.02
    coarse: float = 1.0
    overlap: float = 1.0
    l1: float = 1.0
    entropy: float = 0.5
    laplacian: float = 0.25
    gradient: float = 1.0
    composition: float = 0.5
    settling: int = 32


def cpu() -> Recipe:
    """For a night on two processor cores. Small pictures first: what a subject is shows there too,
    and five of them cost what one of 256² does."""
    return Recipe(
        stages=(
            Stage(0.25, 128, 24),
            Stage(0.3, 192, 16),
            Stage(0.28, 256, 12),
            Stage(0.12, 384, 8),
            Stage(0.05, 512, 4),
        ),
        steps=8000,
        rate=1.5e-3,
        warmup=200,
        hold=0.5,
        reuse=2,
        checks=((512, 32),),
    )


def gpu() -> Recipe:
    """For about 25 minutes on one large GPU with 16 processor cores."""
    stages = (Stage(0.5, 256, 64), Stage(0.3, 384, 48), Stage(0.2, 512, 32))
    return Recipe(
        stages=stages, steps=16000, rate=2e-3, warmup=500, hold=0.4, reuse=4, checks=((512, 32),)
    )


def tiny() -> Recipe:
    """Seconds on a CPU: every part takes part, nothing is learned that is of use."""
    return Recipe(
        shape=CvUNetShape(width=0.25, context=16, rates=(1, 2), decoder=(16, 16, 8, 8), head=8),
        stages=(Stage(0.6, 32, 4), Stage(0.4, 64, 2)),
        steps=10,
        rate=3e-3,
        warmup=2,
        reuse=2,
        checks=((64, 3),),
        settling=4,
    )


PRESETS = {"cpu": cpu, "gpu": gpu, "tiny": tiny}
