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
