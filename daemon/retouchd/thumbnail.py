"""Pure: a picture as small as a stamp, with its transparency.

What is transparent has no say in the colours (Porter, Duff 1984: they are premultiplied before they
are averaged), and all of it is averaged exactly, strip by strip, so that a photo of any size takes
little memory beside its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.scaling import Size, resized, shrinking

Thumbnail = NDArray[np.uint8]  # [h, w, 3 or 4], RGB with straight alpha last

_FAINT = 1 / 4096  # of less alpha than that no colour is left
_STRIP = 1 << 20  # pixels worked on at a time


def thumbnail(pixels: Pixels, side: int) -> Thumbnail:
    """A picture [H, W, 1 to 4] uint8 or uint16 reduced so that no side is longer than ``side``.

    Has alpha where the picture has; grey becomes RGB. A smaller picture keeps its size.
    """
    height, width, channels = pixels.shape
    scale = min(1.0, side / max(height, width))
    means = _means(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))
    colours = means[..., : 3 if channels > 2 else 1]
    if channels not in (2, 4):
        return _bytes(np.broadcast_to(colours, (*means.shape[:2], 3)))
    alpha = means[..., -1:]
    straight = np.broadcast_to(colours / np.maximum(alpha, _FAINT), (*means.shape[:2], 3))
    return _bytes(np.concatenate((straight, alpha), axis=2))


def _means(pixels: Pixels, size: Size) -> NDArray[np.float32]:
    """What is under each of the small pixels, [*size, C] in [0, 1], premultiplied."""
    height, width, channels = pixels.shape
    means = np.zeros((*size, channels), np.float32)
    step = max(1, _STRIP // width)
    for top in range(0, height, step):
        end = min(top + step, height)
        narrow = resized(_premultiplied(pixels[top:end]), (end - top, size[1]))
        first, last = top * size[0] // height, -(-end * size[0] // height)
        shares = shrinking(height, size[0], (top, end), (first, last))
        means[first:last] += np.tensordot(shares, narrow, axes=1)
    return means


def _premultiplied(pixels: Pixels) -> NDArray[np.float32]:
    unit = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if pixels.shape[2] in (2, 4):
        unit[..., :-1] *= unit[..., -1:]
    return unit


def _bytes(unit: NDArray[np.float32]) -> Thumbnail:
    scaled = np.clip(unit, 0, 1) * np.float32(255)
    rounded: Thumbnail = np.floor(scaled + np.float32(0.5)).astype(np.uint8)
    return rounded
