"""Pure: whether what a mask marks can be what was meant.

A hole is a [H, W] uint8 array, 255 where the photo is to be made up and 0 where it is known.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.config import Mask
from retouchd.errors import MaskTooFaint, NotAMask

_BLANK = 16  # JPEG noise and a scanned black are no brighter than that


def check_colours(many: bool, mask: str, photo: str) -> None:
    """Raise NotAMask for a picture in ``many`` colours: a photo whose name is that of a mask."""
    if many:
        raise NotAMask(mask=mask, path=photo)


def check_marks(
    grey: NDArray[np.uint8], hole: NDArray[np.uint8], settings: Mask, mask: str
) -> None:
    """Raise MaskTooFaint where a mask picture has marks, but none that counts.

    grey: the picture [H, W] uint8; hole: what ``settings`` make of it; mask: its name. A picture
    that is black all over (white, where ``settings.invert``) has no marks.
    """
    if cv2.countNonZero(hole):
        return
    least, most = int(grey.min()), int(grey.max())
    if settings.invert:
        if least < 255 - _BLANK:
            raise _too_light(mask, least, settings.threshold)
    elif most > _BLANK:
        raise _too_dark(mask, most, settings.threshold)


def _too_dark(mask: str, brightest: int, threshold: int) -> MaskTooFaint:
    return MaskTooFaint(
        mask=mask,
        cause=f"its brightest value is {brightest} of 255, and only what is over {threshold} "
        "counts as marked",
        fix="Paint in white, at full opacity (a colour counts by its brightness: red is 76), or "
        f"lower mask.threshold below {brightest} for this lane",
    )


def _too_light(mask: str, darkest: int, threshold: int) -> MaskTooFaint:
    return MaskTooFaint(
        mask=mask,
        cause=f"its darkest value is {darkest} of 255, and with mask.invert: true only what is "
        f"not over {threshold} counts as marked",
        fix="Paint in black on white, at full opacity, or white on black and set mask.invert: "
        "false for this lane"
        + (f", or raise mask.threshold to {darkest}" if darkest < 255 else ""),
    )
