"""Pure: holes grown by a few pixels, because marks are drawn tight and edges are soft.

A hole is a [H, W] uint8 array, 255 where the photo is to be made up and 0 where it is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Window = tuple[int, int, int, int]  # top, left, bottom, right

_TILE = 1900  # cv2's exact distance transform is exact only while its float32 sums are: < 2048


def grow_sparingly(hole: Grey, radius: int, most: float) -> tuple[Grey, int]:
    """The hole grown by ``radius`` px, or by less where it is of fine marks; and by how much.

    Where growing more than doubles the hole and takes more than ``most`` (0 to 1) of the photo, the
    radius is halved until it does not: of a grid or small print all would be made up.
    """
    while True:
        grown = grow(hole, radius)
        taken = cv2.countNonZero(grown)
        if not radius or taken <= most * hole.size or taken <= 2 * cv2.countNonZero(hole):
            return grown, radius
        radius //= 2


def grow(hole: Grey, radius: int) -> Grey:
    """The hole dilated by a disc: all pixels within ``radius`` px (Euclidean, inclusive) of it.

    radius: 0 to 500. Works on tiles around what is there, so that the cost grows with the hole.
    Returns a new array.
    """
    out = hole.copy()
    left, top, width, height = cv2.boundingRect(hole)
    if radius <= 0 or not width:
        return out
    y, x = max(top - radius, 0), max(left - radius, 0)
    near = np.s_[y : top + height + radius, x : left + width + radius]
    part, grown = hole[near], out[near]
    for tile in _tiles(part.shape, min(max(8 * radius, 128), _TILE - 2 * radius)):
        reach = _reach(part, tile, radius)
        if reach:
            _fill(grown, part, reach, radius)
    return out


def _reach(hole: Grey, tile: Window, radius: int) -> Window | None:
    """The part of the tile that the hole can grow into; None where growing changes nothing."""
    top, left, bottom, right = tile
    y, x = max(top - radius, 0), max(left - radius, 0)
    near = hole[y : bottom + radius, x : right + radius]
    if cv2.countNonZero(near) in (0, near.size):
        return None
    dx, dy, width, height = cv2.boundingRect(near)
    y, x = y + dy, x + dx
    return (
        max(top, y - radius),
        max(left, x - radius),
        min(bottom, y + height + radius),
        min(right, x + width + radius),
    )


def _fill(out: Grey, hole: Grey, reach: Window, radius: int) -> None:
    top, left, bottom, right = reach
    y, x = max(top - radius, 0), max(left - radius, 0)
    known = cv2.bitwise_not(hole[y : bottom + radius, x : right + radius])
    distance = cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = distance[top - y : bottom - y, left - x : right - x] <= radius
    out[top:bottom, left:right][inside] = 255


def _tiles(shape: tuple[int, ...], side: int) -> Iterator[Window]:
    height, width = shape
    for i in range(ceil(height / side)):
        for j in range(ceil(width / side)):
            top, left = i * side, j * side
            yield top, left, min(top + side, height), min(left + side, width)
