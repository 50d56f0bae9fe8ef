"""How good the network is on composites of cut-outs and photos that it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from models.training.matting.losses import band
from models.training.matting.material import Material
from models.training.matting.scenes import Batch, sample, stack
from models.training.matting.trainer import Trainer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from retouchd.nets.cvunet import CvUNet, Mattes

_SEED = 20261121  # never changes: figures of different trainings compare
_SHEET = 16  # samples on a sheet
_TILE = 160  # pixels


@dataclass(frozen=True)
class Score:
    """Means over the held-out samples; beside the photo nothing counts.

    iou: of alpha > 0.5, 1 if both are empty. sad: sum of absolute errors in thousands of pixels.
    mse: mean squared error in thousandths. band: mean absolute error in thousandths, near edges.
    """

    iou: float
    sad: float
    mse: float
    band: float

    @property
    def total(self) -> float:
        """One number, lower is better: whether the subject is found, and how well it is cut."""
        return (1 - self.iou) + self.band / 1000


def held_out(material: Material, side: int, count: int) -> Batch:
    """The same samples at every call."""
    rngs = [np.random.default_rng([_SEED, side, number]) for number in range(count)]
    return stack([sample(rng, material, side) for rng in rngs])


def measure(alpha: Tensor, batch: Batch) -> Score:
    """alpha: [B, 1, H, W] float in [0, 1]."""
    truth, shown = batch.alpha.float() / 255, batch.shown.float()
    alpha = alpha * shown
    error = (alpha - truth).abs()
    ours, theirs = alpha > 0.5, truth > 0.5
    both, either = ((m.flatten(1).sum(1) + 1e-6) for m in (ours & theirs, ours | theirs))
    area = shown.flatten(1).sum(1)
    edge = band(truth, round(0.02 * truth.shape[-1])) * shown
    has = edge.flatten(1).sum(1) > 0
    near = (error * edge).flatten(1).sum(1)[has] / edge.flatten(1).sum(1)[has]
    return Score(
        float((both / either).mean()),
        float(error.flatten(1).sum(1).mean()) / 1000,
        float((error.square().flatten(1).sum(1) / area).mean()) * 1000,
        float(near.mean()) * 1000,
    )


def mattes(trainer: Trainer, net: CvUNet, batch: Batch) -> Mattes:
    """What the network says of a batch, on the CPU; in pieces, to save memory."""
    parts = []
    with torch.inference_mode():
        for at in range(0, len(batch.image), 8):
            image = trainer.ready(Batch(*(part[at : at + 8] for part in batch))).image
            parts.append([each.float().cpu() for each in net(image)])
    return Mattes(*(torch.cat(each) for each in zip(*parts, strict=True)))


def sheet(path: Path, said: Mattes, batch: Batch) -> None:
    """A picture to look at: per row two samples of image, truth, alpha, coarse."""
    image = batch.image[:_SHEET].float() / 255
    shown = batch.shown[:_SHEET].float()
    grey = [batch.alpha[:_SHEET] / 255, said.alpha[:_SHEET] * shown, torch.sigmoid(said.coarse)]
    parts = [_tiles(image), *(_tiles(plane[:_SHEET]) for plane in grey)]
    rows = list(torch.cat(parts, 3))
    pairs = [torch.cat(rows[at : at + 2], 2) for at in range(0, len(rows) - 1, 2)]
    whole: NDArray[np.uint8] = (torch.cat(pairs, 1) * 255).round().byte().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(whole.transpose(1, 2, 0), cv2.COLOR_RGB2BGR))


def _tiles(planes: Tensor) -> Tensor:
    """[B, 1 or 3, H, W] → [B, 3, 160, 160] in [0, 1]."""
    size = (_TILE, _TILE)
    small = functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
    return small.expand(-1, 3, -1, -1).clamp(0, 1)
