"""The eight EXIF orientations (CIPA DC-008, tag 0x0112) as operations on arrays."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np

from retouchd.images.photo import Pixels


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """[H, W, C] or [H, W] pixels turned so that row 0 is the top; C-contiguous.

    A value outside 1 to 8 counts as upright, as every viewer has it.
    """
    turned: np.ndarray[Any, Any] = pixels
    if orientation in (5, 6, 7, 8):
        turned = cv2.transpose(turned)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    if flip is not None:
        turned = cv2.flip(turned, flip)
    # OpenCV drops an axis of length one.
    turned = turned.reshape(*turned.shape[:2], *pixels.shape[2:])
    return cast(Pixels, np.ascontiguousarray(turned))


def swaps_sides(orientation: int) -> bool:
    """Whether applying the orientation exchanges width and height."""
    return orientation in (5, 6, 7, 8)
