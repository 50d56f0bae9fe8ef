"""Samples for inpainting: a picture, a hole, and the hole's fill by Navier–Stokes.

A sample is a pure function of (seed, side, number), so any number of worker processes gives the
same stream, and a stream can be taken up at any place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from models.training.masks import random_hole
from models.training.photos import Photos, Picture
from models.training.stream import FIRST, Feed, stream
from models.training.textures import random_texture
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from retouchd.classical import fill

_LEAST_SCALE = 0.25  # of a photo's own resolution
_TEXTURES = 0.12  # share of samples that are procedural


class Batch(NamedTuple):
    """image, filled: [B, 3, S, S] uint8 RGB, equal outside the hole. hole: [B, 1, S, S] uint8,
    0 or 1."""

    image: Tensor
    hole: Tensor
    filled: Tensor


class Chunks:
    """Fresh samples by number: chunk n is what step n sees for the first time."""

    def __init__(self, photos: Photos, seed: int, side: int, size: int) -> None:
        self.photos, self.seed, self.side, self.size = photos, seed, side, size

    @property
    def nbytes(self) -> int:
        """Of a chunk."""
        return self.size * self.side**2 * 7

    def __getitem__(self, number: int) -> Batch:
        rngs = [
            np.random.default_rng([self.seed, self.side, number + FIRST, item])
            for item in range(self.size)
        ]
        return stack([sample(rng, self.photos, self.side) for rng in rngs])


def batches(photos: Photos, feed: Feed, side: int, first: int, last: int) -> Iterator[Batch]:
    """The batches of steps ``first`` to ``last`` − 1, of pictures of that side."""
    chunks = Chunks(photos, feed.seed, side, feed.fresh)
    return stream(chunks, feed, turned, first, last)


def sample(rng: Generator, photos: Photos, side: int) -> tuple[Picture, Picture, Picture]:
    """(image [S, S, 3], hole [S, S] 0/255, filled [S, S, 3]), all uint8."""
    if rng.random() < _TEXTURES:
        image = random_texture(rng, side)
    else:
        image = tinted(rng, crop(rng, photos[int(rng.integers(len(photos)))], side))
    hole = random_hole(rng, side)
    return image, hole, filled(image, hole)


def filled(image: Picture, hole: Picture) -> Picture:
    """The image with its hole filled exactly as the product's ``classical`` model fills it."""
    return np.asarray(np.round(fill(image, hole) * 255), np.uint8)


def crop(rng: Generator, photo: Picture, side: int) -> Picture:
    """A square of the photo at a random scale between a quarter and its own, perhaps mirrored."""
    shortest = min(photo.shape[:2])
    least = max(_LEAST_SCALE, side / shortest)
    scale = float(np.exp(rng.uniform(np.log(min(least, 1.0)), 0)))
    wide = min(shortest, round(side / scale))
    top, left = (int(rng.integers(0, length - wide + 1)) for length in photo.shape[:2])
    cut = photo[top : top + wide, left : left + wide]
    shrunk = cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA) if wide != side else cut
    return np.ascontiguousarray(shrunk[:, ::-1] if rng.random() < 0.5 else shrunk)


def tinted(rng: Generator, image: Picture) -> Picture:
    """Mild changes of exposure, contrast and white balance."""
    gain = rng.uniform(0.8, 1.15) * (1 + rng.normal(0, 0.04, 3))
    power = np.exp(rng.normal(0, 0.15))
    ramp = np.linspace(0, 1, 256)[:, None] ** power * gain * 255
    table = np.clip(np.round(ramp), 0, 255).astype(np.uint8)[None]  # [1, 256, 3]
    return np.asarray(cv2.LUT(image, table), np.uint8)


def stack(samples: list[tuple[Picture, Picture, Picture]]) -> Batch:
    """Samples → a batch."""
    images, holes, fills = (np.stack(part) for part in zip(*samples, strict=True))
    hole = torch.from_numpy((holes > 127).astype(np.uint8))[:, None]
    return Batch(_channels_first(images), hole, _channels_first(fills))


def turned(batch: Batch, rng: Generator) -> Batch:
    """One of the eight flips and quarter turns, the same for the whole batch."""
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    parts = [torch.rot90(part, turns, (2, 3)) for part in batch]
    return Batch(*(part.flip(3) for part in parts)) if flip else Batch(*parts)


def _channels_first(pictures: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
