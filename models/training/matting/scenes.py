"""Samples for matting: composites whose alpha is known, made on the fly.

Light is added up as in a camera, linearly; blur, noise and JPEG come afterwards and are shared by
subject and backdrop, so that they don't give the subject away. A sample is a pure function of
(seed, side, number), as in ``data``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from models.training.matting.backdrops import random_backdrop, studio
from models.training.matting.camera import photographed
from models.training.matting.light import Light, encoded
from models.training.matting.material import Material
from models.training.matting.placing import placed
from models.training.matting.subjects import random_subject
from models.training.photos import Picture
from models.training.stream import FIRST, Feed, stream
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

_NOTHING = 0.05  # share of samples without a subject
_SEVERAL = 0.15
_SQUARE = 0.35  # share of photos that need no padding
_SEEN = 0.02  # alpha from which a subject has a colour


class Batch(NamedTuple):
    """What a network's picture shows, all uint8.

    image: [B, 3, S, S] sRGB, 128 beside the photo. alpha: [B, 1, S, S]. contrast: [B, 1, S, S],
    mean distance of the subject's colour from the backdrop's, 0 where there is no subject.
    shown: [B, 1, S, S], 1 on the photo, 0 beside it.
    """

    image: Tensor
    alpha: Tensor
    contrast: Tensor
    shown: Tensor


class Chunks:
    """Fresh samples by number; see ``stream.Numbered``."""

    def __init__(self, material: Material, seed: int, side: int, size: int) -> None:
        self.material, self.seed, self.side, self.size = material, seed, side, size

    @property
    def nbytes(self) -> int:
        """Of a chunk."""
        return self.size * self.side**2 * 6

    def __getitem__(self, number: int) -> Batch:
        rngs = [
            np.random.default_rng([self.seed, self.side, number + FIRST, item])
            for item in range(self.size)
        ]
        return stack([sample(rng, self.material, self.side) for rng in rngs])


def batches(material: Material, feed: Feed, side: int, first: int, last: int) -> Iterator[Batch]:
    """The batches of steps ``first`` to ``last`` − 1, of pictures of that side."""
    return stream(Chunks(material, feed.seed, side, feed.fresh), feed, mirrored, first, last)


def mirrored(batch: Batch, rng: Generator) -> Batch:
    """The batch, or its mirror image."""
    return Batch(*(part.flip(3) for part in batch)) if rng.random() < 0.5 else batch


def stack(samples: list[Picture]) -> Batch:
    """Samples [S, S, 6] → a batch."""
    planes = torch.from_numpy(np.stack(samples)).permute(0, 3, 1, 2).contiguous()
    image, *others = planes[:, :3], planes[:, 3:4], planes[:, 4:5], planes[:, 5:]
    return Batch(image.contiguous(), *(plane.contiguous() for plane in others))


def sample(rng: Generator, material: Material, side: int) -> Picture:
    """[S, S, 6] uint8: image, alpha, contrast and shown, one after the other as in ``Batch``."""
    height, width = _frame(rng, side)
    out = np.zeros((side, side, 6), np.uint8)
    out[..., :3] = 128
    top, left = (side - height) // 2, (side - width) // 2
    inside = out[top : top + height, left : left + width]
    inside[..., :5] = composite(rng, material, height, width)
    inside[..., 5] = 1
    return out


def composite(rng: Generator, material: Material, height: int, width: int) -> Picture:
    """[height, width, 5] uint8: image, alpha, contrast."""
    behind, subject = _layers(rng, material, height, width)
    cover = subject[..., 3:]
    light = subject[..., :3] + (1 - cover) * behind
    image, alpha = photographed(rng, light, cover[..., 0])
    contrast = np.where(cover[..., 0] > _SEEN, _distance(subject, behind), 0)
    return np.dstack([image, alpha, np.round(contrast).astype(np.uint8)])


def _frame(rng: Generator, side: int) -> tuple[int, int]:
    """Height and width of a photo whose longer side fills the network's picture."""
    if rng.random() < _SQUARE:
        return side, side
    other = round(side * rng.uniform(0.5, 0.95))
    return (other, side) if rng.random() < 0.6 else (side, other)


def _layers(rng: Generator, material: Material, height: int, width: int) -> tuple[Light, Light]:
    """(the backdrop with shadows on it, all subjects as one premultiplied layer)."""
    count = 0 if (kind := rng.random()) < _NOTHING else 1 if kind > _NOTHING + _SEVERAL else 2
    light, calm = random_backdrop(rng, material, height, width)
    subject = np.zeros((height, width, 4), np.float32)
    if count == 0:
        # Who stands in a photo that shows somebody would be a subject.
        return (light if calm else studio(rng, height, width)), subject
    for _ in range(count + int(count == 2 and rng.random() < 0.3)):
        drawn = rng.random() < material.drawn
        what = random_subject(rng, material) if drawn else material.cutout(rng)
        layer = placed(rng, what, height, width)
        if rng.random() < (0.7 if calm else 0.3):
            light = light * shadow(rng, layer[..., 3])[..., None]
        subject = layer + (1 - layer[..., 3:]) * subject
    return light, subject


def shadow(rng: Generator, cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """What light a subject leaves to its backdrop, 0 to 1: at its foot, or behind it."""
    height, width = cover.shape
    rows = np.flatnonzero(cover.max(1) > 0.1)
    if len(rows) == 0:
        return np.ones_like(cover)
    foot = float(rows[-1])
    if rng.random() < 0.65:  # on the ground: flattened towards the foot, leaning
        flat, lean = rng.uniform(0.04, 0.4), rng.normal(0, 0.5)
        soft = rng.uniform(0.01, 0.04)
        move = np.array([[1, lean, -lean * foot], [0, flat, foot * (1 - flat)]])
    else:  # on a wall
        soft = rng.uniform(0.01, 0.08)
        dx, dy = rng.normal(0, 0.04, 2) * max(height, width)
        move = np.array([[1, 0, dx], [0, 1, abs(dy)]])
    thrown = cv2.warpAffine(cover, move, (width, height), flags=cv2.INTER_LINEAR)
    thrown = cv2.GaussianBlur(thrown, (0, 0), float(soft * max(height, width)))
    return np.asarray(1 - rng.uniform(0.15, 0.85) * thrown, np.float32)


def _distance(subject: Light, behind: Light) -> NDArray[np.float32]:
    """Mean distance of sRGB values, 0…255, [H, W]; of use where there is a subject."""
    own = np.asarray(subject[..., :3] / np.maximum(subject[..., 3:], _SEEN), np.float32)
    return np.asarray(np.abs(encoded(own) - encoded(behind)).mean(2))
