"""Pure: pixel samples as integers and as floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels

Unit = NDArray[np.float32]
Region = tuple[Pixels, NDArray[np.uint8]]  # image [H, W, 3] and mask [H, W], as in engine.Request


def to_unit(image: Pixels) -> Unit:
    """uint8 or uint16 over its full range → float32 in [0, 1], same shape.

    Raises TypeError for any other sample type.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"samples must be uint8 or uint16, not {image.dtype}")
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def is_hole(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a mask says "make this up": above 127, so that JPEG noise in a mask is no hole."""
    return mask > 127


def photo_like(side: int) -> Region:
    """A square picture with what photos have, and a hole in it: always the same for a side.

    Smooth light, texture on every scale with a photo's 1/f spectrum, and hard edges; uint8.
    """
    random = np.random.default_rng(side)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) + 1 / side
    colours, light = random.standard_normal((3, side, side)), random.standard_normal((side, side))
    waves = np.fft.rfft2(light + 0.3 * colours) / frequency
    texture = np.fft.irfft2(waves, s=(side, side)).transpose(1, 2, 0)
    down, right = np.mgrid[0:side, 0:side] / side
    picture = 0.35 + 0.3 * down[..., None] + 0.09 * texture / texture.std()
    picture[down > 0.4 + 0.5 * right] *= (0.5, 0.7, 0.9)
    mask = np.zeros((side, side), np.uint8)
    mask[side // 3 : side * 2 // 3, side // 4 : side * 3 // 4] = 255
    return (picture.clip(0, 1) * 255).astype(np.uint8), mask
