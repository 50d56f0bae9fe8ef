"""Pure: guided filters, which lend an alpha the edges of its photo.

He, Sun, Tang, "Guided Image Filtering" (PAMI 2013), with colour guidance: around every pixel,
alpha is fitted as a linear function of colour, and the fits that a pixel takes part in are
averaged. With weights, the fit listens to what is known and fills in what is not.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Colours = NDArray[np.float32]  # [H, W, 3] in [0, 1]
Plane = NDArray[np.float32]  # [H, W]
Planes = tuple[Plane, ...]
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
    mean = _Mean(radius, weight)
    # Variances are differences of squares: the smaller the numbers, the less is lost.
    middle = np.array(cv2.mean(guide)[:3], np.float32)
    colours = _planes(guide - middle)
    means, mean_alpha = tuple(map(mean, colours)), mean(alpha)
    shared = tuple(
        mean(colour * alpha) - level * mean_alpha
        for colour, level in zip(colours, means, strict=True)
    )
    slopes = _solve(_covariance(colours, means, mean, eps), shared)
    offset = mean_alpha - _dot(slopes, means)
    *slopes_around, offset = map(mean.of_windows, (*slopes, offset))
    for slope, level in zip(slopes_around, middle, strict=True):
        offset -= slope * level
    return np.asarray(cv2.merge([*slopes_around, offset]), np.float32)


def apply(fitted: Fit, guide: Colours) -> Alpha:
    """The alpha [H, W] that a fit makes of a photo of its size; may leave [0, 1] a little."""
    *slopes, offset = _planes(fitted)
    alpha = _dot(tuple(slopes), _planes(guide))
    alpha += offset
    return alpha


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
    """Means over windows [H, W], weighted by pixel.

    With weights windows end at the array's border; without, the border repeats beyond it.
    """

    def __init__(self, radius: int, weight: Alpha | None) -> None:
        self._side = (2 * radius + 1, 2 * radius + 1)
        self._weight = weight
        if weight is not None:
            self._total = np.maximum(self._box(weight), _NOBODY)
            self._say = self._box(self._total)

    def __call__(self, plane: Plane) -> Plane:
        if self._weight is None:
            return self._box(plane)
        mean = self._box(plane * self._weight)
        mean /= self._total
        return mean

    def of_windows(self, plane: Plane) -> Plane:
        """The mean of what the windows around a pixel found, by how much each had to go on."""
        if self._weight is None:
            return self._box(plane)
        mean = self._box(plane * self._total)
        mean /= self._say
        return mean

    def _box(self, plane: Plane) -> Plane:
        border = cv2.BORDER_REPLICATE if self._weight is None else cv2.BORDER_CONSTANT
        return np.asarray(cv2.blur(plane, self._side, borderType=border), np.float32)


def _planes(array: NDArray[np.float32]) -> Planes:
    """[H, W, C], each channel by itself: all that follows is faster so."""
    return tuple(np.asarray(plane, np.float32) for plane in cv2.split(array))


def _dot(first: Planes, second: Planes) -> Plane:
    dot: Plane = first[0] * second[0]
    dot += first[1] * second[1]
    dot += first[2] * second[2]
    return dot


_ENTRIES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _covariance(colours: Planes, means: Planes, mean: _Mean, eps: float) -> Planes:
    """The upper half of the covariance of colour in each window, with eps on its diagonal."""
    found = []
    for i, j in _ENTRIES:
        entry = mean(colours[i] * colours[j])
        entry -= means[i] * means[j]
        if i == j:
            entry += np.float32(eps)
        found.append(entry)
    return tuple(found)


def _solve(matrix: Planes, right: Planes) -> Planes:
    """x, y, z of symmetric 3×3 systems at every pixel, by elimination; all are well above zero."""
    a, b, c, d, e, f = matrix
    x, y, z = right
    once = np.reciprocal(a)
    second, third = b * once, c * once
    d, e, f = _less(d, second, b), _less(e, second, c), _less(f, third, c)
    y, z = _less(y, second, x), _less(z, third, x)
    third = e / d
    z = _less(z, third, y) / _less(f, third, e)
    y = _less(y, e, z) / d
    return _less(_less(x, b, y), c, z) * once, y, z


def _less(plane: Plane, factor: Plane, other: Plane) -> Plane:
    product: Plane = factor * other
    return np.subtract(plane, product, out=product)
