"""Pure: how far an alpha is from the reference.

Errors are those of Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting"
(CVPR 2009), over the whole photo. Alphas are [H, W] in [0, 1].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[Any]

_BAND = 15  # pixels: the square by which the reference's edge is widened
_SIGMA = 1.4  # of the gradient's Gaussian
_STEP = 0.1  # between thresholds of the connectivity error
_LEAST = 0.15  # of a gap that counts in it


class Errors(NamedTuple):
    """sad, connectivity: in thousands of pixels. mse: in thousandths, in the band around the
    reference's edge. gradient: in thousands. All 0 for the reference."""

    sad: float
    mse: float
    gradient: float
    connectivity: float


def errors(alpha: Alpha, truth: Alpha) -> Errors:
    """All of them."""
    alpha, truth = alpha.astype(np.float64), truth.astype(np.float64)
    apart = alpha - truth
    band = _band(truth)
    return Errors(
        np.abs(apart).sum() / 1e3,
        1e3 * float((apart[band] ** 2).mean()) if band.any() else 0.0,
        float(((_steepness(alpha) - _steepness(truth)) ** 2).sum()) / 1e3,
        float(np.abs(_connected(alpha, truth)).sum()) / 1e3,
    )


def overlap(alpha: Alpha, truth: Alpha) -> float:
    """Intersection over union of what is more than half opaque; 1 if nothing is in both."""
    ours, theirs = alpha > 0.5, truth > 0.5
    either = np.count_nonzero(ours | theirs)
    return np.count_nonzero(ours & theirs) / either if either else 1.0


def _band(truth: Alpha) -> NDArray[np.bool_]:
    near = np.ones((_BAND, _BAND), np.uint8)
    return (cv2.dilate(truth, near) > 0.02) & (cv2.erode(truth, near) < 0.98)


def _steepness(alpha: Alpha) -> NDArray[np.float64]:
    """The gradient's magnitude by first derivatives of a Gaussian, normalised."""
    reach = int(3 * _SIGMA) + 1
    x = np.arange(-reach, reach + 1)
    bell = np.exp(-(x**2) / (2 * _SIGMA**2))
    slope = x * bell
    norm = np.sqrt((np.outer(slope, bell) ** 2).sum())
    across = cv2.sepFilter2D(alpha, cv2.CV_64F, slope, bell) / norm
    down = cv2.sepFilter2D(alpha, cv2.CV_64F, bell, slope) / norm
    return np.asarray(np.hypot(across, down), np.float64)


def _connected(alpha: Alpha, truth: Alpha) -> NDArray[np.float64]:
    """The difference in how far pixels are from being connected to what both call opaque."""
    level = np.full(alpha.shape, -1.0)
    for threshold in np.arange(_STEP, 1 + _STEP / 2, _STEP):
        both = ((alpha >= threshold) & (truth >= threshold)).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4)
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if len(stats) > 1 else -1
        level[(labels != largest) & (level < 0)] = threshold - _STEP
    level[level < 0] = 1
    gaps = [np.maximum(value - level, 0) for value in (alpha, truth)]
    first, second = (1 - gap * (gap >= _LEAST) for gap in gaps)
    return np.asarray(first - second, np.float64)
