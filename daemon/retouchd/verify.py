"""The last look at an output before anybody sees it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.blend import same_outside
from retouchd.errors import OutputWrong, RetouchdError
from retouchd.images import Encoded, decode

_LOSSY_MEAN = 0.06
"""Largest mean difference that lossy coding may make, as a share of the full range."""


def check_output(
    encoded: Encoded,
    *,
    composed: NDArray[Any],
    original: NDArray[Any],
    hole: NDArray[np.uint8],
    lossless: bool,
    name: str,
) -> None:
    """Decode the output and compare it; raises OutputWrong.

    composed, original: [H, W, C] as it should be and as it was. hole: [H, W] uint8 0/255.
    Lossless: every pixel is the composed one, and those outside the hole are the original's.
    Lossy: same size and close on average.
    """
    try:
        seen = decode(encoded.data, name, composed.shape[0] * composed.shape[1]).pixels
    except RetouchdError as error:
        raise OutputWrong(path=name, cause=f"it can't be decoded ({error.message})") from None
    if not same_outside(composed, original, hole):
        raise OutputWrong(path=name, cause="pixels outside the mask would have changed")
    if seen.shape[:2] != composed.shape[:2]:
        raise OutputWrong(path=name, cause=f"its size became {seen.shape[1]}x{seen.shape[0]}")
    if lossless:
        if seen.dtype != composed.dtype or not np.array_equal(seen, composed):
            raise OutputWrong(path=name, cause="it decodes to other pixels")
    elif mean_difference(seen, composed) > _LOSSY_MEAN:
        raise OutputWrong(path=name, cause="it decodes to a very different picture")


def mean_difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Mean absolute difference over a sample of rows, as a share of the full range."""
    step = max(1, one.shape[0] // 256)
    first, second = (_comparable(pixels[::step]) for pixels in (one, other))
    if first.shape[2] != second.shape[2]:
        # A format that knows no gray made it RGB.
        first, second = (np.broadcast_to(p, (*p.shape[:2], 3)) for p in (first, second))
    difference = cv2.mean(cv2.absdiff(first, second))
    return float(np.mean(difference[: first.shape[2]]) / 255)


def _comparable(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours without alpha, 8 bits a sample."""
    colours = np.ascontiguousarray(pixels[..., : 3 if pixels.shape[-1] >= 3 else 1])
    return colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)
