"""What a camera and its files do to light: exposure, blur, noise, JPEG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from models.training.matting.light import Light, encoded
from models.training.photos import Picture
from numpy.random import Generator
from numpy.typing import NDArray

Cover = NDArray[np.float32]  # [H, W] in 0…1


def photographed(rng: Generator, light: Light, cover: Cover) -> tuple[Picture, Picture]:
    """Linear light [H, W, 3] and cover → (sRGB [H, W, 3], alpha [H, W]), both uint8.

    Blur moves the alpha's edge as it does the picture's; noise and JPEG don't touch it.
    """
    light, cover = _blurred(rng, light, cover)
    if rng.random() < 0.7:
        light = light * np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.06, 3)).astype(np.float32)
    if rng.random() < 0.06:
        light = np.repeat(light.mean(2, keepdims=True), 3, 2)
    picture = _noisy(rng, encoded(light))
    alpha = np.clip(np.round(cover * 255), 0, 255).astype(np.uint8)
    return _compressed(rng, np.clip(np.round(picture), 0, 255).astype(np.uint8)), alpha


def _blurred(rng: Generator, light: Light, cover: Cover) -> tuple[Light, Cover]:
    """Perhaps an unsharp lens, or a small photo that was enlarged."""
    kind = rng.random()
    if kind < 0.2:
        soft = float(rng.uniform(0.4, 1.3))
        return _parts(cv2.GaussianBlur(np.dstack([light, cover]), (0, 0), soft))
    if kind < 0.32:
        size = cover.shape[1], cover.shape[0]
        small = tuple(max(8, int(n * rng.uniform(0.45, 0.9))) for n in size)
        both = cv2.resize(np.dstack([light, cover]), small, interpolation=cv2.INTER_AREA)
        return _parts(np.clip(cv2.resize(both, size, interpolation=cv2.INTER_CUBIC), 0, 1))
    return light, cover


def _parts(both: Any) -> tuple[Light, Cover]:
    return both[..., :3], both[..., 3]


def _noisy(rng: Generator, picture: Light) -> Light:
    """Grain that is stronger in the shadows, as sRGB makes it."""
    if rng.random() < 0.5:
        return picture
    grain = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0.5, 7))
    if rng.random() < 0.3:
        grain[:] = grain[..., :1]
    return np.asarray(picture + grain * (1.3 - picture / 255), np.float32)


def _compressed(rng: Generator, picture: Picture) -> Picture:
    if rng.random() < 0.45:
        return picture
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))]
    _, data = cv2.imencode(".jpg", picture, quality)  # which channel is red hardly matters
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
