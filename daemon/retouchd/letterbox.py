"""Pure: a photo of any shape in a network's square input, and an alpha from there back.

Both ways map the same rectangle of the square onto the whole photo, edge to edge, so that nothing
shifts, not even by half a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.scaling import colours, resized

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Planes = NDArray[np.float32]  # [3, side, side] RGB in [−1, 1]
Size = tuple[int, int]


@dataclass(frozen=True)
class Letterbox:
    """Where a photo lies in a square: scaled to touch two opposite sides, and centred.

    size: the photo's height and width. side: the square's. top, left, height, width: the photo in
    the square; all in pixels.
    """

    size: Size
    side: int
    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the square that show the photo."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def letterbox(size: Size, side: int = 512) -> Letterbox:
    """The place of a photo of that size (height, width); small photos are enlarged."""
    scale = side / max(size)
    height, width = (max(1, round(length * scale)) for length in size)
    return Letterbox(size, side, (side - height) // 2, (side - width) // 2, height, width)


def photo_in(pixels: Pixels, place: Letterbox) -> Planes:
    """A photo as a network's input; beside it lies mid-grey, which is 0.

    pixels: [H, W, 1 to 4] uint8 or uint16; grey is repeated, alpha is dropped.
    """
    small = resized(colours(pixels), (place.height, place.width))
    half = np.float32(np.iinfo(pixels.dtype).max / 2)
    planes = np.zeros((3, place.side, place.side), np.float32)
    planes[(slice(None), *place.slices)] = small.astype(np.float32).transpose(2, 0, 1) / half - 1
    return planes


def alpha_in(alpha: Alpha, place: Letterbox) -> Alpha:
    """An alpha of the photo [H, W] in the square [side, side]; beside it lies 0."""
    square = np.zeros((place.side, place.side), np.float32)
    square[place.slices] = _unit(resized(alpha, (place.height, place.width)))
    return square


def alpha_out(square: Alpha, place: Letterbox) -> Alpha:
    """A network's alpha [side, side] at the photo's size [H, W], enlarged by bicubic splines."""
    return _unit(resized(np.ascontiguousarray(square[place.slices]), place.size))


def _unit(alpha: Alpha) -> Alpha:
    unit: Alpha = np.clip(alpha, 0, 1, dtype=np.float32)
    return unit
