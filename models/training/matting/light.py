"""Pure: sRGB (IEC 61966-2-1) to linear light and back, by tables; there light adds up."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from models.training.photos import Picture
from numpy.typing import NDArray

Light = NDArray[np.float32]  # [H, W, …], 1 is white


def linear(picture: Picture) -> Light:
    """uint8 sRGB [H, W, C] → linear light; a fourth channel is alpha, which is linear already."""
    table = _decoding()[..., : picture.shape[2]] if picture.ndim == 3 else _decoding()[..., 0]
    return np.asarray(cv2.LUT(picture, np.ascontiguousarray(table)), np.float32)


def encoded(light: Light) -> Light:
    """Linear light, clipped to 0…1 → sRGB as float32 in 0…255, not rounded."""
    root = np.sqrt(np.clip(light, 0, 1))
    return _encoding().take((root * 4095 + 0.5).astype(np.uint16))


@cache
def _decoding() -> Light:
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.stack([light, light, light, value], 1).astype(np.float32)[None]  # [1, 256, 4]


@cache
def _encoding() -> Light:
    # By the square root, so that 4096 entries are fine enough in the shadows.
    light = (np.arange(4096) / 4095) ** 2
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (value * 255).astype(np.float32)
