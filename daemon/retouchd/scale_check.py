"""Pure: how far a fit of alpha to colour can be believed, against plain interpolation.

A fit lends an alpha the photo's edges, but its grain as well: the more alike subject and background
are, the more of it; and where an edge is out of focus, interpolation is nearer to the truth. So the
small alpha is halved and enlarged again in both ways, where the answer is known. What comes nearer
to it is believed at its own size, less what the fit will make of the photo's grain there.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.guided import Alpha, Colours, Fit, apply
from retouchd.scaling import halved, unit_colours

Grain = NDArray[np.float64]  # [3, 3], covariance of RGB in [0, 1]

_CAUTION = 3.0  # times as much a fit's error counts: what interpolation misses shrinks with size,
_ROUGH = 3.0  # and grain stays
_RADIUS = 3  # px that errors are averaged over
_NOTHING = 1e-6  # a squared error as small says nothing
_MOST = 0.25  # of alpha, squared: more than that is cut off
_LOOKED_AT = 1 << 14  # pixels
_EDGE = 3.0  # times the median: differences beyond are no grain

REACH = _RADIUS + 4
"""Pixels around one that bear on it noticeably, for fits to windows of three in such windows."""


def grain_of(pixels: Pixels) -> Grain:
    """The grain of a photo [H, W, C], from the bends of some rows, without those that are edges.

    It comes out a fifth too small: some of the grain is left out with the edges.
    """
    height, width = pixels.shape[:2]
    step = max(1, height * width // _LOOKED_AT)
    rows = unit_colours(pixels[step // 2 :: step] if step < height else pixels[:1])
    bends = rows[:, 2:] + rows[:, :-2] - 2 * rows[:, 1:-1]
    bends = bends.reshape(-1, 3) / np.sqrt(np.float32(6))
    size = np.abs(bends).sum(1)
    if not len(size):
        return np.zeros((3, 3))
    calm = bends[size <= _EDGE * np.median(size)]
    return np.asarray(cv2.mulTransposed(calm, True, dtype=cv2.CV_64F)) / len(calm)


def believed(
    guide: Colours, alpha: Alpha, found: Fit, grain: Grain, fitted: Callable[[Colours, Alpha], Fit]
) -> Alpha:
    """How far a fit is believed at each pixel [H, W], 0 to 1; the rest is interpolation's.

    guide: [H, W, 3] in [0, 1], and alpha; their sides are even. found: their fit. grain: of the
    photo that it is for. fitted: what makes a fit of alpha to colours.
    """
    half = halved(alpha)
    trial = apply(_doubled(fitted(halved(guide), half)), guide)
    wrong = _CAUTION * _off(trial, half, alpha)
    wrong += _ROUGH * _grain_in(found, grain)
    ratio = _mean(wrong)
    ratio /= _mean(_off(_doubled(half), half, alpha))
    ratio *= ratio
    ratio += 1
    return np.reciprocal(ratio, out=ratio)


def _doubled(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(plane, (2 * plane.shape[1], 2 * plane.shape[0])), np.float32)


def _off(enlarged: Alpha, half: Alpha, alpha: Alpha) -> Alpha:
    """How far an enlarged alpha is off, squared, once its means are right."""
    unit = np.clip(enlarged, 0, 1)
    unit += _doubled(half - halved(unit))
    off = np.clip(unit, 0, 1, out=unit)
    off -= alpha
    off *= off
    return off


def _grain_in(found: Fit, grain: Grain) -> Alpha:
    """The variance that grain makes of the alpha of a fit."""
    # With a root of the covariance it is a sum of squares.
    values, vectors = np.linalg.eigh(grain)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    noise = cv2.transform(found, np.hstack([root, np.zeros((3, 1))]))
    squares = cv2.transform(cv2.multiply(noise, noise), np.ones((1, 3)))
    return np.minimum(squares, np.float32(_MOST))


def _mean(errors: Alpha) -> Alpha:
    side = (2 * _RADIUS + 1, 2 * _RADIUS + 1)
    mean: Alpha = np.asarray(cv2.blur(errors, side, borderType=cv2.BORDER_REPLICATE), np.float32)
    mean += np.float32(_NOTHING)
    return mean
