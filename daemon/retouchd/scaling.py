"""Pure: arrays at other sizes, whole and window by window.

Pixels are squares: a photo of another size still covers the same rectangle, edge to edge.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels

Size = tuple[int, int]
Span = tuple[int, int]  # first and one past the last, on one axis
Matrix = NDArray[np.float32]  # [of the result, of what it is made from], along one axis


def resized(array: NDArray[Any], size: Size) -> NDArray[Any]:
    """An array [H, W] or [H, W, C] at another (height, width): the mean of what is under a pixel.

    Where it grows: by bicubic convolution, which overshoots, so floats may leave their range.
    Returns the array itself if it has that size.
    """
    if array.shape[:2] == size:
        return array
    shrinks = size[0] * size[1] < array.shape[0] * array.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    # OpenCV drops a single channel's axis.
    changed: NDArray[Any] = cv2.resize(array, size[::-1], interpolation=method)
    return changed.reshape(*size, *array.shape[2:])


def colours(pixels: Pixels) -> Pixels:
    """A photo's colours without its alpha: [H, W, 1 or 3], contiguous."""
    kept = pixels[..., :1] if pixels.shape[2] < 3 else pixels[..., :3]
    return kept if kept.flags.c_contiguous else kept.copy()


def unit_colours(pixels: Pixels, size: Size | None = None) -> NDArray[np.float32]:
    """A photo as [h, w, 3] float32 in [0, 1], at another size if one is given.

    pixels: [H, W, 1 to 4] uint8 or uint16; grey is repeated, alpha is dropped.
    """
    small = resized(colours(pixels), size or pixels.shape[:2])
    unit = small.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return np.repeat(unit, 3, axis=2) if unit.shape[2] == 1 else unit


def shrinking(large: int, small: int, part: Span, cells: Span) -> Matrix:
    """How the cells of an axis are the means of its ``large`` pixels, of which ``part`` is there.

    Cells whose pixels are not all in ``part`` come out too small.
    """
    edges = np.arange(cells[0], cells[1] + 1) * (large / small)
    pixels = np.arange(*part)
    ends = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares: Matrix = (np.maximum(ends, 0) * (small / large)).astype(np.float32)
    return shares


def enlarging(large: int, small: int, part: Span, cells: Span, *, cubic: bool = False) -> Matrix:
    """How ``part`` of an axis of ``large`` pixels is interpolated from ``cells`` of ``small``.

    The outermost cells go on forever. Linear, or Keys' cubic convolution with OpenCV's slope.
    """
    centres = (np.arange(*part) + 0.5) * (small / large) - 0.5
    first = np.floor(centres).astype(np.int64)
    matrix = np.zeros((len(centres), cells[1] - cells[0]), np.float32)
    rows = np.arange(len(centres))
    for tap in range(-1, 3) if cubic else range(2):
        distance = np.abs(centres - first - tap)
        column = np.clip(first + tap, cells[0], cells[1] - 1) - cells[0]
        matrix[rows, column] += _cubic(distance) if cubic else 1 - distance
    return matrix


def _cubic(x: NDArray[np.float64], a: float = -0.75) -> NDArray[np.float64]:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
