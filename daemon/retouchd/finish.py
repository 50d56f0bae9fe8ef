"""Pure: what a person can ask of an alpha once it is found: harder, softer, smaller, tidier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.scaling import unit

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Grey = NDArray[np.uint8]
Flags = NDArray[np.bool_]

_TILE = 256
_CORE = 0.5  # what is denser is a part of its own


@dataclass(frozen=True)
class Finish:
    """Changes to an alpha, in the order in which they are made; the defaults change nothing.

    min_area: parts of the subject smaller than so many pixels vanish, with their soft edges.
    keep_largest: so does every part but the largest.
    bilateral: radius in px of a filter that smooths a ragged edge and keeps it sharp. It tends to
        cost hair; 0 is best for most photos.
    erode_kernel: side in px of the square by whose half the subject shrinks; 1 or 0 does nothing.
    feather_edge: how many px inwards the edge becomes a slope; nothing grows outwards, where the
        old background would come in.
    alpha_threshold: lower alphas become 0, which removes haze; in [0, 1].
    """

    min_area: int = 0
    keep_largest: bool = False
    bilateral: int = 0
    erode_kernel: int = 0
    feather_edge: int = 0
    alpha_threshold: float = 0.0


def finished(alpha: Alpha | Grey, finish: Finish) -> Alpha | Grey:
    """The alpha [H, W] in [0, 1], changed as asked; itself if nothing is asked for.

    alpha: float32 in [0, 1], or uint8.
    """
    return alpha if finish == Finish() else _changed(unit(alpha), finish)


def _changed(alpha: Alpha, finish: Finish) -> Alpha:
    changed = alpha
    if finish.min_area > 0 or finish.keep_largest:
        changed = np.where(_kept(alpha, finish), alpha, np.float32(0))
    if finish.bilateral > 0:
        changed = _bilateral(changed, finish.bilateral)
    if finish.erode_kernel > 1:
        side = finish.erode_kernel
        changed = _floats(cv2.erode(changed, np.ones((side, side), np.uint8)))
    if finish.feather_edge > 0:
        changed = _feathered(changed, finish.feather_edge)
    if finish.alpha_threshold > 0:
        changed = np.where(changed < finish.alpha_threshold, np.float32(0), changed)
    return changed


def _kept(alpha: Alpha, finish: Finish) -> Flags:
    """Which pixels belong to a part that stays; soft ones belong to the nearest."""
    hollow = (alpha < _CORE).astype(np.uint8)
    if hollow.all() or not hollow.any():
        return np.ones(alpha.shape, np.bool_)
    # The nearest zero's component: soft pixels go with their own part, not with a neighbour's.
    _, nearest = cv2.distanceTransformWithLabels(
        hollow, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_CCOMP
    )
    areas = np.bincount(nearest[hollow == 0])
    stays = areas >= max(1, finish.min_area)
    if finish.keep_largest:
        stays &= np.arange(len(areas)) == int(np.argmax(areas))
    kept: Flags = stays[nearest]
    return kept


def _bilateral(alpha: Alpha, radius: int) -> Alpha:
    """A bilateral filter (Tomasi, Manduchi 1998) where alpha is not plain; it is slow."""
    out = alpha.copy()
    for rows, columns in _uneven(alpha, radius):
        top, left = max(0, rows.start - radius), max(0, columns.start - radius)
        around = alpha[top : rows.stop + radius, left : columns.stop + radius]
        smooth = cv2.bilateralFilter(np.ascontiguousarray(around), 2 * radius + 1, 0.3, radius / 2)
        y, x = rows.start - top, columns.start - left
        out[rows, columns] = smooth[
            y : y + rows.stop - rows.start, x : x + columns.stop - columns.start
        ]
    return np.clip(out, 0, 1)


def _uneven(alpha: Alpha, reach: int) -> Iterator[tuple[slice, slice]]:
    """Tiles in whose reach alpha is not the same all over."""
    height, width = alpha.shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            bottom, right = min(top + _TILE, height), min(left + _TILE, width)
            near = alpha[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach]
            if near.min() != near.max():
                yield slice(top, bottom), slice(left, right)


def _feathered(alpha: Alpha, width: int) -> Alpha:
    """The edge as a slope that ends where the subject did; the photo's border is no edge."""
    side = np.ones((2 * (width // 2) + 1,) * 2, np.uint8)
    shrunk = cv2.erode(alpha, side)
    soft = cv2.blur(shrunk, side.shape, borderType=cv2.BORDER_REPLICATE)
    return np.minimum(alpha, _floats(soft))


def _floats(array: NDArray[np.generic]) -> Alpha:
    return array.astype(np.float32, copy=False)
