"""One run of the training of lama-compact; see ``run``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from models.training import validation
from models.training.data import Batch, batches
from models.training.export import read
from models.training.photos import Photos, open_photos
from models.training.recipe import Recipe
from models.training.run import Finding, Run, Settings
from models.training.schedule import Stage
from models.training.stream import Feed
from models.training.trainer import Trainer
from torch import Tensor

_CALIBRATION = 8  # batches


class Session(Run[Batch]):
    """Samples, checks and weights of lama-compact."""

    recipe: Recipe
    trainer: Trainer

    def __init__(self, recipe: Recipe, settings: Settings) -> None:
        super().__init__(recipe, settings, Trainer(recipe, settings.device, not settings.exact))

    @cached_property
    def photos(self) -> tuple[Photos, Photos]:
        """(for training, held out)."""
        return open_photos(self.settings.photos, self.settings.work / "cache").split()

    @cached_property
    def held_out(self) -> Sequence[Batch]:
        """What ``check`` looks at."""
        return [validation.held_out(self.photos[1], *check) for check in self.recipe.checks]

    def begin(self) -> None:
        """Weights that were given, or norms that are set once."""
        if self.settings.begin_with:
            self.trainer.begin_with(read(self.settings.begin_with))
        else:
            first = self.recipe.stages[0]
            feed = Feed(self.recipe.seed, first.batch)
            self.trainer.calibrate(self.batches(feed, first.side, 0, _CALIBRATION))

    def batches(self, feed: Feed, side: int, first: int, last: int) -> Iterator[Batch]:
        """Of the photos for training."""
        return batches(self.photos[0], feed, side, first, last)

    def advance(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """One step."""
        return self.trainer.advance(batch, stage.adversarial)

    def told(self, means: dict[str, float]) -> dict[str, float]:
        """With the error relative to the fill's."""
        fill = means.pop("fill")
        return {**means, "l1 of fill": means["l1"] / fill}

    def check(self) -> Finding:
        """Scores against the fill; a sheet per side."""
        figures: dict[str, float] = {}
        relative: list[float] = []
        step, work = self.trainer.step, self.settings.work
        for batch in self.held_out:
            side = batch.image.shape[-1]
            out = validation.paint(self.trainer.average, batch, self.settings.device)
            ours, fill = validation.scores(out, batch)
            relative.append(ours.against(fill))
            figures |= {f"{name} {side}": value for name, value in vars(ours).items()}
            figures |= {f"fill {name} {side}": value for name, value in vars(fill).items()}
            validation.sheet(work / "sheets" / f"{step:06d}-{side}.png", out, batch)
        score = sum(relative) / len(relative)
        told = [
            f"{n} {v:.4f} ({figures[f'fill {n}']:.4f})"
            for n, v in figures.items()
            if not n.startswith("fill ")
        ]
        return Finding(score, figures, f"held out (fill): score {score:.4f}  {'  '.join(told)}")

    def best_state(self) -> Mapping[str, Any]:
        """The running average and its shape."""
        return {
            "shape": dict(vars(self.recipe.shape)),
            "average": self.trainer.average.state_dict(),
        }

    def material(self) -> str:
        """How many photos."""
        learned, held = self.photos
        return f"{len(learned)} photos, {len(held)} held out"
