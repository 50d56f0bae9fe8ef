"""Whether a picture has the many colours of a photo, which no mask has."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_SAMPLE: Final = 1 << 18  # pixels, in whole rows
_CLEARLY: Final = 40  # between the strongest channel and the weakest
_SHARE: Final = 0.05  # of clearly coloured pixels; products before white have 0.08 and more
_MOST: Final = 0.8
# Strokes and segments need up to 20, heat maps in one scale up to 41, most photos 30 to 150.
_COLOURS: Final = 24
# Heat maps have up to 12, since their colour follows from their brightness; most photos 15 to 60.
_SCATTER: Final = 15.0


def has_many_colours(pixels: Bytes) -> bool:
    """Whether a picture [H, W, C] is as colourful as only photos are.

    That is: a share of it is clearly coloured, in many colours, of which several have the same
    brightness. Grey, sepia and anti-aliased masks, strokes in a few colours and heat maps that
    grow brighter are not; nor is every photo.
    """
    if pixels.shape[2] < 3:
        return False
    sample = pixels[:: max(1, pixels[..., 0].size // _SAMPLE), :, :3]
    coloured = sample[sample.max(axis=-1) - sample.min(axis=-1) > _CLEARLY]
    if len(coloured) < max(1.0, _SHARE * sample[..., 0].size):
        return False
    return _colours(coloured) >= _COLOURS and _scatter(coloured) >= _SCATTER


def _colours(colours: Bytes) -> int:
    """How many colours, told apart by 4 bits a channel, make up most of these [N, 3]."""
    red, green, blue = (colours >> 4).astype(np.int32).T
    counts = np.sort(np.bincount(red << 8 | green << 4 | blue))[::-1]
    return int(np.searchsorted(np.cumsum(counts), _MOST * len(colours))) + 1


def _scatter(colours: Bytes) -> float:
    """How far colours [N, 3] of one brightness lie from each other: the standard deviation of red
    and blue, less the brightness."""
    brightness = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    step = (brightness / 8).astype(np.int32)
    counts = np.maximum(np.bincount(step), 1)
    total = 0.0
    for channel in (0, 2):
        tint = colours[:, channel] - brightness
        means = np.bincount(step, tint) / counts
        total += float(np.square(tint - means[step]).mean())
    return float(total**0.5)
