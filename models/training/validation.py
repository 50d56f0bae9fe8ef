"""How good the network is on photos that it never saw, against the fill that it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from models.training.data import Batch, crop, filled, stack
from models.training.lama_compact import CompactLama, stacked
from models.training.masks import random_hole
from models.training.photos import Photos
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_SEED = 20261121  # never changes: figures of different trainings compare
_SHEET = 12  # samples on a sheet


@dataclass(frozen=True)
class Score:
    """Means over the held-out samples, of what is in the hole, in [0, 1] units.

    l1, psnr: distance from the truth. texture: mean |ln| of the ratio of detail to the truth's,
    in three octaves; 0 is as much detail as in the truth.
    """

    l1: float
    psnr: float
    texture: float

    def against(self, fill: Score) -> float:
        """One number, 1 for the fill, lower is better: closeness and detail alike."""
        return (self.l1 / fill.l1 + self.texture / fill.texture) / 2


def held_out(photos: Photos, side: int, count: int) -> Batch:
    """The same samples at every call."""
    picked = []
    for number in range(count):
        rng = np.random.default_rng([_SEED, side, number])
        image = crop(rng, photos[number % len(photos)], side)
        hole = random_hole(rng, side)
        picked.append((image, hole, filled(image, hole)))
    return stack(picked)


def measure(out: Tensor, image: Tensor, hole: Tensor) -> Score:
    """out, image: [B, 3, H, W] float; hole: [B, 1, H, W]."""
    whole = out.clamp(0, 1)
    area = hole.flatten(1).sum(1) * 3
    l1 = (whole - image).abs().flatten(1).sum(1) / area
    mse = (whole - image).square().flatten(1).sum(1) / area
    psnr = -10 * torch.log10(mse.clamp(min=1e-7))
    ratios = [
        (ours.clamp(min=1e-4) / truth.clamp(min=1e-4)).log().abs()
        for ours, truth in zip(_detail(whole, hole), _detail(image, hole), strict=True)
    ]
    return Score(*(float(v.mean()) for v in (l1, psnr, torch.stack(ratios))))


def _detail(picture: Tensor, hole: Tensor) -> list[Tensor]:
    """Per octave the mean strength [B] of what blurring takes away, within the hole."""
    found = []
    for _ in range(3):
        small = functional.avg_pool2d(picture, 2)
        large = functional.interpolate(small, scale_factor=2.0, mode="bilinear")
        lost = (picture - large).abs().mean(1, keepdim=True) * hole
        found.append(lost.flatten(1).sum(1) / hole.flatten(1).sum(1).clamp(min=1))
        picture, hole = small, functional.avg_pool2d(hole, 2)
    return found


def paint(model: CompactLama, batch: Batch, device: torch.device) -> Tensor:
    """What the network paints, [B, 3, H, W] float32 on the CPU; in pieces, to save memory."""
    parts = []
    with torch.inference_mode():
        for at in range(0, len(batch.image), 8):
            image, hole, fill = (part[at : at + 8].to(device).float() for part in batch)
            parts.append(model(stacked(image / 255, hole, fill / 255)).cpu())
    return torch.cat(parts)


def scores(out: Tensor, batch: Batch) -> tuple[Score, Score]:
    """(the network's, the fill's)."""
    image, hole, fill = (part.float() for part in batch)
    return measure(out, image / 255, hole), measure(fill / 255, image / 255, hole)


def sheet(path: Path, out: Tensor, batch: Batch) -> None:
    """A picture to look at: per row two samples of damaged, fill, network, truth."""
    image, hole, fill = (part[:_SHEET].float() for part in batch)
    image, fill = image / 255, fill / 255
    whole = out[:_SHEET].clamp(0, 1)
    damaged = image * (1 - hole) + hole * torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    rows = [torch.cat(parts, 2) for parts in zip(damaged, fill, whole, image, strict=True)]
    pairs = [torch.cat(list(rows[at : at + 2]), 2) for at in range(0, len(rows) - 1, 2)]
    _write(path, pairs)


def _write(path: Path, rows: Sequence[Tensor]) -> None:
    picture: NDArray[np.uint8] = (torch.cat(list(rows), 1) * 255).round().byte().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture.transpose(1, 2, 0), cv2.COLOR_RGB2BGR))
