"""The eight EXIF orientations (CIPA DC-008, tag 0x0112) as operations on arrays."""

from __future__ import annotations

from typing import Any, Final, cast

import cv2
import numpy as np

from retouchd.images.photo import Allocate, Pixels

TURNED: Final = range(2, 9)
"""The orientations for which anything has to be done."""


def upright(pixels: Pixels, orientation: int, allocate: Allocate = np.empty) -> Pixels:
    """[H, W, C] pixels turned so that row 0 is the top; C-contiguous; if turned, by ``allocate``.

    A value outside 1 to 8 counts as upright, as every viewer has it.
    """
    swapped = swaps_sides(orientation)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    if flip is None and not swapped:
        return cast(Pixels, np.ascontiguousarray(pixels))
    height, width, channels = pixels.shape
    shape = (width, height, channels) if swapped else (height, width, channels)
    turned: np.ndarray[Any, Any] = allocate(shape, pixels.dtype.name)
    if swapped:
        cv2.transpose(pixels, dst=turned)
    if flip is not None:
        cv2.flip(turned if swapped else pixels, flip, dst=turned)
    return cast(Pixels, turned)


def swaps_sides(orientation: int) -> bool:
    """Whether applying the orientation exchanges width and height."""
    return orientation in (5, 6, 7, 8)
