"""Pure: whether what a model answered can be right at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.samples import Unit, is_hole, to_unit

_BLACK = 1.0 / 512  # darker than any 8-bit sample but 0
_VISIBLE = 8.0 / 255
_FLAT = 1.0 / 512


def trouble_with(painted: Unit, image: Pixels, mask: NDArray[np.uint8]) -> str | None:
    """What is wrong with ``painted``, which a model made of ``image`` and ``mask``, or None.

    Overflows in half precision show as values that are no numbers, as black, or as one colour. A
    model repaints the known pixels as well, so black all over is told from a photo of a night
    sky, and one colour all over from one of a blue sky.
    """
    if painted.shape != image.shape:
        return f"its output has the shape {painted.shape} instead of {image.shape}"
    if not np.isfinite(painted).all():
        return "its output is not a number everywhere"
    black = painted.max() < _BLACK
    if not black and np.ptp(painted.reshape(-1, 3), axis=0).max() >= _FLAT:
        return None
    known = to_unit(image[~is_hole(mask)])
    if black:
        return "its output is black" if known.size and known.mean() > _VISIBLE else None
    seen = known.size and known.std(axis=0).max() > _VISIBLE
    return "its output is of one colour" if seen else None


def trouble_with_alpha(alpha: Unit, shown: NDArray[np.uint8]) -> str | None:
    """What is wrong with an alpha [H, W, 1] of a picture that shows a photo [H, W], or None.

    All of it may be 0, or 1: that a photo has no subject is for others to judge.
    """
    if alpha.shape != (*shown.shape, 1):
        return f"its output has the shape {alpha.shape} instead of {(*shown.shape, 1)}"
    if not np.isfinite(alpha).all():
        return "its output is not a number everywhere"
    low, high = float(alpha.min()), float(alpha.max())
    return None if low >= 0 and high <= 1 else f"its alpha reaches from {low:g} to {high:g}"
