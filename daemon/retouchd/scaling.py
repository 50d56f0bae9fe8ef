"""Pure: arrays at other sizes, whole and window by window.

Pixels are squares: a photo of another size still covers the same rectangle, edge to edge.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.samples import to_unit

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


def averaged(array: NDArray[Any], size: Size) -> NDArray[Any]:
    """As ``resized``, but what shrinks to less than a quarter is halved before: half the work.

    The means' borders are then rounded to an eighth of the result's pixels at most, and beyond an
    odd side's last row its neighbour counts twice.
    """
    halves, scale = _halves(array, size, 4)
    return resized(array, size) if halves is array else _last(halves, scale, size, cv2.INTER_AREA)


def sampled(array: NDArray[Any], size: Size) -> NDArray[Any]:
    """An array at a smaller (height, width), up to twenty times as fast as the mean.

    It is halved as often as that goes, and interpolated linearly from there: nearly as smooth, but
    a pixel sees a little of its neighbours, and the last row of an odd side may be left out.
    """
    return _last(*_halves(array, size, 2), size, cv2.INTER_LINEAR)


def _halves(
    array: NDArray[Any], size: Size, least: float
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Halved while it is ``least`` times as large or more; and how many times it is then."""
    scale = np.array(array.shape[:2]) / size
    while min(scale) >= least:
        array, scale = halved(array), scale / 2
    return array, scale


def _last(
    halves: NDArray[Any], scale: NDArray[np.float64], size: Size, method: int
) -> NDArray[Any]:
    # With sizes given OpenCV would stretch what an odd side lost in halving.
    across, down = 1 / scale[1], 1 / scale[0]
    small: NDArray[Any] = cv2.resize(halves, None, fx=across, fy=down, interpolation=method)
    missing = [max(0, want - have) for want, have in zip(size, small.shape, strict=False)]
    if any(missing):
        edge = cv2.BORDER_REPLICATE
        small = cv2.copyMakeBorder(small, 0, missing[0], 0, missing[1], edge)
    return np.ascontiguousarray(small[: size[0], : size[1]]).reshape(*size, *halves.shape[2:])


def halved(array: NDArray[Any]) -> NDArray[Any]:
    """The means of every two by two pixels; the last row and column of odd sides are left out."""
    height, width = array.shape[0] // 2, array.shape[1] // 2
    even = array[: 2 * height, : 2 * width]
    half: NDArray[Any] = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    return half.reshape(height, width, *array.shape[2:])


def evened(array: NDArray[Any]) -> NDArray[Any]:
    """With even sides: the last row and column of odd ones are repeated."""
    down, across = array.shape[0] % 2, array.shape[1] % 2
    if not (down or across):
        return array
    even: NDArray[Any] = cv2.copyMakeBorder(array, 0, down, 0, across, cv2.BORDER_REPLICATE)
    return even.reshape(*even.shape[:2], *array.shape[2:])


def colours(pixels: Pixels) -> Pixels:
    """A photo's colours without its alpha: [H, W, 1 or 3], contiguous."""
    kept = pixels[..., :1] if pixels.shape[2] < 3 else pixels[..., :3]
    return kept if kept.flags.c_contiguous else kept.copy()


def unit_colours(pixels: Pixels, size: Size | None = None) -> NDArray[np.float32]:
    """A photo as [h, w, 3] float32 in [0, 1], at another size if one is given.

    pixels: [H, W, 1 to 4] uint8 or uint16; grey is repeated, alpha is dropped.
    """
    small = unit(resized(colours(pixels), size or pixels.shape[:2]))
    return np.repeat(small, 3, axis=2) if small.shape[2] == 1 else small


def unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    """uint8 or uint16 samples as ``to_unit`` makes them; float32 as it is."""
    return samples if samples.dtype == np.float32 else to_unit(samples)


def shrinking(large: int, small: int, part: Span, cells: Span) -> Matrix:
    """How the cells of an axis are the means of its ``large`` pixels, of which ``part`` is there.

    Cells whose pixels are not all in ``part`` come out too small.
    """
    edges = np.arange(cells[0], cells[1] + 1) * (large / small)
    pixels = np.arange(*part)
    ends = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares: Matrix = (np.maximum(ends, 0) * (small / large)).astype(np.float32)
    return shares
