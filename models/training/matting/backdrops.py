"""What lies behind a subject: half of it what product photos have, half of it the world."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from models.training.matting.light import Light, linear
from models.training.matting.material import Material
from models.training.photos import Picture
from models.training.textures import random_texture
from numpy.random import Generator
from numpy.typing import NDArray


class Backdrop(NamedTuple):
    """light: [H, W, 3] linear. calm: nothing in it could be taken for a subject."""

    light: Light
    calm: bool


def random_backdrop(rng: Generator, material: Material, height: int, width: int) -> Backdrop:
    """A plain wall, a gradient, a studio sweep, a photo, or clutter."""
    kind = rng.random()
    if kind < 0.5:
        return Backdrop(studio(rng, height, width), True)
    if kind < 0.85:
        return _of_photo(rng, *material.photo(rng), height, width)
    texture = random_texture(rng, max(height, width))[:height, :width]
    return Backdrop(linear(_blurred(rng, texture, 0.5)), True)


def studio(rng: Generator, height: int, width: int) -> Light:
    """Plain, a ramp or a sweep; lit unevenly, as lamps do."""
    kind = rng.random()
    light = np.empty((height, width, 3), np.float32)
    light[:] = first = _wall(rng)
    if kind > 0.3:
        second = (
            np.minimum(first * np.exp(rng.normal(0, 0.5)), 1) if rng.random() < 0.7 else _wall(rng)
        )
        share = _ramp(rng, height, width) if kind < 0.6 else _floor(rng, height, width)
        light += share[..., None] * np.asarray(second - first, np.float32)
    if rng.random() < 0.5:
        light *= _lamp(rng, height, width)[..., None]
    return light


def _wall(rng: Generator) -> NDArray[np.float64]:
    """A linear colour: mostly white, grey or black, else anything."""
    kind = rng.random()
    if kind < 0.35:
        value = np.full(3, rng.uniform(0.7, 1.0))
    elif kind < 0.6:
        value = np.full(3, rng.uniform(0.01, 0.6))
    else:
        value = rng.uniform(0, 1, 3) ** 1.5
    return np.clip(value * (1 + rng.normal(0, 0.04, 3)), 0, 1)


def _axes(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """y as a column and x as a row, in shares of the longer side, 0 in the middle."""
    longest = max(height, width)
    y = (np.arange(height) - height / 2) / longest
    x = (np.arange(width) - width / 2) / longest
    return y.astype(np.float32)[:, None], x.astype(np.float32)[None]


def _ramp(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    y, x = _axes(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    return np.asarray(np.clip(0.5 + rng.uniform(0.5, 2) * along, 0, 1), np.float32)


def _floor(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    """1 on the ground, 0 on the wall; the edge between them is soft where paper is bent."""
    y, x = _axes(height, width)
    edge = y - rng.uniform(-0.1, 0.35) - rng.normal(0, 0.03) * x
    soft = np.exp(rng.uniform(np.log(0.003), np.log(0.3)))
    return np.asarray(1 / (1 + np.exp(np.clip(-edge / soft, -30, 30))), np.float32)


def _lamp(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    y, x = _axes(height, width)
    at = rng.normal(0, 0.3, 2)
    away = (y - at[0]) ** 2 + (x - at[1]) ** 2
    return np.asarray(
        1 - rng.uniform(0.1, 0.8) * (1 - np.exp(-away * rng.uniform(1, 5))), np.float32
    )


def _of_photo(rng: Generator, photo: Picture, scenery: bool, height: int, width: int) -> Backdrop:
    """A piece of a photo; a small one of a photo that shows somebody, often out of focus."""
    most = min(photo.shape[0] / height, photo.shape[1] / width)
    share = most * (rng.uniform(0.5, 1.0) if scenery else rng.uniform(0.25, 0.6))
    tall, wide = max(8, int(height * share)), max(8, int(width * share))
    top = int(rng.integers(0, photo.shape[0] - tall + 1))
    left = int(rng.integers(0, photo.shape[1] - wide + 1))
    way = cv2.INTER_AREA if share > 1 else cv2.INTER_CUBIC
    piece = photo[top : top + tall, left : left + wide]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    scaled = np.asarray(cv2.resize(piece, (width, height), interpolation=way), np.uint8)
    return Backdrop(linear(_blurred(rng, scaled, 0.35 if scenery else 0.6)), scenery)


def _blurred(rng: Generator, picture: Picture, chance: float) -> Picture:
    """Perhaps out of focus, by up to 3 % of the longer side."""
    if rng.random() > chance:
        return np.ascontiguousarray(picture)
    reach = max(1, round(max(picture.shape[:2]) * rng.uniform(0.004, 0.03)))
    once = cv2.blur(picture, (2 * reach + 1,) * 2)
    return np.asarray(cv2.blur(once, (2 * reach + 1,) * 2), np.uint8)
