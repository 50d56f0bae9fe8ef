"""Pure: a photo of any shape as the picture that a network takes, and an alpha from there back.

Both ways map the same rectangle of the picture onto the whole photo, edge to edge, so that nothing
shifts, not even by half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.fit import Fit
from retouchd.scaling import Size, averaged, colours

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Grey = NDArray[np.uint8]

__all__ = ["Fit", "Placement", "photo_part", "picture_of", "place"]

_LONGEST = 4  # times the shorter side: a strip of film is no reason for an endless picture


@dataclass(frozen=True)
class Placement:
    """Where a photo lies in a network's picture.

    size: the photo's height and width. picture: the picture's. top, left, height, width: the photo
    in the picture; all in pixels.
    """

    size: Size
    picture: Size
    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that show the photo."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def place(size: Size, fit: Fit) -> Placement:
    """The place of a photo of that size (height, width); small photos are enlarged."""
    if fit.resize == "squash":
        side = _multiple(fit.size or fit.short_side or max(size), fit.multiple_of)
        return Placement(size, (side, side), 0, 0, side, side)
    height, width = _scaled(size, fit)
    if fit.resize == "fit":
        height, width = _multiple(height, fit.multiple_of), _multiple(width, fit.multiple_of)
        return Placement(size, (height, width), 0, 0, height, width)
    side = -(-max(height, width) // fit.multiple_of) * fit.multiple_of
    return Placement(size, (side, side), (side - height) // 2, (side - width) // 2, height, width)


def _scaled(size: Size, fit: Fit) -> Size:
    if fit.size is not None or fit.short_side is None:
        scale = (fit.size or max(size)) / max(size)
    else:
        scale = min(fit.short_side / min(size), _LONGEST * fit.short_side / max(size))
    height, width = (max(1, round(length * scale)) for length in size)
    return height, width


def _multiple(length: int, of: int) -> int:
    return max(of, round(length / of) * of)


def picture_of(pixels: Pixels, placement: Placement) -> tuple[Pixels, Grey]:
    """A photo as a network's picture [H, W, 3], and where that shows it [H, W], 255 or 0.

    pixels: [H, W, 1 to 4] uint8 or uint16, and so is the picture; grey is repeated, alpha is
    dropped. Beside the photo lies mid-grey.
    """
    small = averaged(colours(pixels), (placement.height, placement.width))
    picture = np.full((*placement.picture, 3), np.iinfo(pixels.dtype).max // 2 + 1, pixels.dtype)
    picture[placement.slices] = small
    shown = np.zeros(placement.picture, np.uint8)
    shown[placement.slices] = 255
    return picture, shown


def photo_part(picture: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """The part of a picture, or of its alpha, that belongs to the photo: [height, width, ...]."""
    return np.ascontiguousarray(picture[placement.slices])
