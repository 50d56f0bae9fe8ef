"""Pure: guided filters, which lend an alpha the edges of its photo.

He, Sun, Tang, "Guided Image Filtering" (PAMI 2013), with colour guidance: around every pixel,
alpha is fitted as a linear function of colour, and the fits that a pixel takes part in are
averaged. With weights, the fit listens to what is known and fills in what is not.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Colours = NDArray[np.float32]  # [H, W, 3] in [0, 1]
Values = NDArray[Any]
Fit = NDArray[np.float32]  # [H, W, 4]: three slopes and an offset

_EPS = 1e-4  # variance of colour that counts as flat: a hundredth of the range, squared
_DOUBT = 0.1  # what a pixel of the prior says, against a known one
_NOBODY = 1e-6  # weights below this say nothing


def fit(
    guide: Colours, alpha: Alpha, radius: int, *, eps: float = _EPS, weight: Alpha | None = None
) -> Fit:
    """The linear function of colour that alpha is around each pixel; see ``apply``.

    guide: [H, W, 3] in [0, 1]. radius: of the square windows, at least 1. eps: at least 1e-5,
    which float32 can still resolve. weight: [H, W] ≥ 0, how much each pixel says; None: all alike.
    """
    mean = _Mean(guide.shape, radius, weight)
    # Variances are differences of squares: the smaller the numbers, the less is lost.
    middle = guide.mean((0, 1), dtype=np.float64).astype(np.float32)
    centred = guide - middle
    mean_guide, mean_alpha = mean(centred), mean(alpha)
    shared = mean(centred * alpha[..., None]) - mean_guide * mean_alpha[..., None]
    slopes = _solve(_covariance(centred, mean_guide, mean, eps), shared)
    offset = mean_alpha - _dot(slopes, mean_guide)
    averaged = mean.of_windows(np.dstack([slopes, offset]))
    averaged[..., 3] -= averaged[..., :3] @ middle
    return averaged


def apply(fitted: Fit, guide: Colours) -> Alpha:
    """The alpha [H, W] that a fit makes of a photo of its size; may leave [0, 1] a little."""
    return _dot(fitted[..., :3], guide) + fitted[..., 3]


def fill(guide: Colours, trimap: Alpha, prior: Alpha, radius: int, *, eps: float = _EPS) -> Alpha:
    """An alpha [H, W] for a trimap (0, 1, and anything between for unknown) without solving.

    prior: [H, W] in [0, 1], a guess for the unknown pixels; it counts for little where known ones
    are in reach. radius: about the half width of the unknown band, in pixels.
    """
    unknown = (trimap > 0) & (trimap < 1)
    target = np.where(unknown, prior, trimap)
    weight = np.where(unknown, np.float32(_DOUBT), np.float32(1))
    found = apply(fit(guide, target, radius, eps=eps, weight=weight), guide)
    filled: Alpha = np.where(unknown, np.clip(found, 0, 1), trimap).astype(np.float32)
    return filled


class _Mean:
    """Means over windows [H, W] or [H, W, C], weighted by pixel; they end at the photo's border."""

    def __init__(self, shape: tuple[int, ...], radius: int, weight: Alpha | None) -> None:
        self._side = 2 * radius + 1
        self._weight = weight
        self._total = self._box(np.ones(shape[:2], np.float32) if weight is None else weight)

    def __call__(self, values: Values) -> Values:
        weighted = values if self._weight is None else values * _like(self._weight, values)
        mean: Values = self._box(weighted) / _like(np.maximum(self._total, _NOBODY), values)
        return mean

    def of_windows(self, values: Values) -> Values:
        """The mean of what the windows around a pixel found, by how much each had to go on."""
        say = np.ones_like(self._total)
        if self._weight is not None:
            np.maximum(self._total, _NOBODY, out=say)
        mean: Values = self._box(values * _like(say, values)) / _like(self._box(say), values)
        return mean

    def _box(self, values: Values) -> Values:
        side = (self._side, self._side)
        summed: Values = cv2.blur(values, side, borderType=cv2.BORDER_CONSTANT)
        return summed


def _like(plane: Values, values: Values) -> Values:
    return plane if values.ndim == 2 else plane[..., None]


def _dot(first: Values, second: Values) -> Values:
    # Three products are faster than what numpy has for this, also on planes.
    dot: Values = first[..., 0] * second[..., 0]
    dot += first[..., 1] * second[..., 1]
    dot += first[..., 2] * second[..., 2]
    return dot


_ENTRIES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _covariance(guide: Colours, middle: Colours, mean: _Mean, eps: float) -> tuple[Values, ...]:
    """The upper half of the covariance of colour in each window, with eps on its diagonal."""
    products = mean(np.dstack([guide[..., i] * guide[..., j] for i, j in _ENTRIES[:3]]))
    others = mean(np.dstack([guide[..., i] * guide[..., j] for i, j in _ENTRIES[3:]]))
    squares = np.dstack([products, others])
    return tuple(
        squares[..., n] - middle[..., i] * middle[..., j] + np.float32(eps if i == j else 0)
        for n, (i, j) in enumerate(_ENTRIES)
    )


def _solve(matrix: tuple[Values, ...], right: Values) -> Values:
    """x [H, W, 3] of symmetric 3×3 systems at every pixel, by the adjugate."""
    a, b, c, d, e, f = matrix
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    s, t, u = a * f - c * c, b * c - a * e, a * d - b * b
    x, y, z = (right[..., i] for i in range(3))
    solution = np.dstack([p * x + q * y + r * z, q * x + s * y + t * z, r * x + t * y + u * z])
    solution /= (a * p + b * q + c * r)[..., None]
    return solution
