"""One run of the training of cvunet-compact; see ``run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from models.training.matting import validation
from models.training.matting.export import read
from models.training.matting.material import Material, open_material
from models.training.matting.recipe import Recipe
from models.training.matting.scenes import Batch, batches
from models.training.matting.trainer import Trainer
from models.training.run import Finding, Run, Settings
from models.training.schedule import Stage
from models.training.stream import Feed
from torch import Tensor

from retouchd.nets.cvunet import CvUNet

_SETTLING = 1 << 30  # numbers of chunks that no step ever sees


@dataclasses.dataclass(frozen=True, kw_only=True)
class MattingSettings(Settings):
    """cutouts: a folder of RGBA pictures, straight alpha."""

    cutouts: Path


class Session(Run[Batch]):
    """Samples, checks and weights of cvunet-compact."""

    recipe: Recipe
    settings: MattingSettings
    trainer: Trainer

    def __init__(self, recipe: Recipe, settings: MattingSettings) -> None:
        super().__init__(recipe, settings, Trainer(recipe, settings.device, not settings.exact))

    @cached_property
    def stores(self) -> tuple[Material, Material]:
        """(for training, held out)."""
        given = self.settings
        return open_material(given.photos, given.cutouts, given.work / "cache", self.recipe.drawn)

    @cached_property
    def held_out(self) -> Sequence[Batch]:
        """What ``check`` looks at."""
        return [validation.held_out(self.stores[1], *check) for check in self.recipe.checks]

    def begin(self) -> None:
        """Weights that were given, or the ones that a seed gives."""
        if self.settings.begin_with:
            self.trainer.begin_with(read(self.settings.begin_with))

    def batches(self, feed: Feed, side: int, first: int, last: int) -> Iterator[Batch]:
        """Of the material for training."""
        return batches(self.stores[0], feed, side, first, last)

    def advance(self, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """One step."""
        return self.trainer.advance(batch)

    def check(self) -> Finding:
        """Scores of the settled average; a sheet per side."""
        self._net = self._settled()
        figures: dict[str, float] = {}
        totals: list[float] = []
        for batch in self.held_out:
            side = batch.image.shape[-1]
            said = validation.mattes(self.trainer, self._net, batch)
            found = validation.measure(said.alpha, batch)
            totals.append(found.total)
            figures |= {f"{name} {side}": value for name, value in vars(found).items()}
            name = f"{self.trainer.step:06d}-{side}.png"
            validation.sheet(self.settings.work / "sheets" / name, said, batch)
        score = sum(totals) / len(totals)
        told = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        return Finding(score, figures, f"held out: score {score:.4f}  {told}")

    def _settled(self) -> CvUNet:
        side = self.recipe.checks[0][0]
        size = min(4, self.recipe.settling)
        count = self.recipe.settling // size
        feed = Feed(self.recipe.seed, size)
        return self.trainer.settled(self.batches(feed, side, _SETTLING, _SETTLING + count))

    def best_state(self) -> Mapping[str, Any]:
        """The network that was checked, and its shape."""
        shape = dataclasses.asdict(self.recipe.shape)
        return {"shape": shape, "average": self._net.state_dict()}

    def material(self) -> str:
        """How many photos and cut-outs."""
        learned, held = self.stores
        return (
            f"{len(learned.photos)} photos, {len(held.photos)} held out; "
            f"{len(learned.cutouts)} cut-outs, {len(held.cutouts)} held out"
        )
