"""Pure: the colours of subject and background behind a mixed pixel.

Germer et al., "Fast Multi-Level Foreground Estimation" (ICPR 2020, arXiv 2006.14970): colours that
mix to the photo's and change little where alpha changes little, from a few pixels to all of them,
doubling the size each time and starting from what was found before. Neighbours are all updated at
once (Jacobi), which suits arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retouchd.scaling import Size, resized

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Colours = NDArray[np.float32]  # [H, W, C] in [0, 1]

_SMOOTH = 5e-3  # how much neighbours are alike anyway
_EDGE = 0.1  # and how much more where alpha changes, since colour must not follow
_ROUNDS = 4
_NEIGHBOURS = ((0, 1), (2, 1), (1, 0), (1, 2))


def both_colours(image: Colours, alpha: Alpha) -> tuple[Colours, Colours]:
    """The subject's and the background's colours [H, W, C]: image ≈ α · first + (1 − α) · second.

    Where one of them does not show, its colour is carried on from where it does.
    """
    first = _mean(image, alpha)
    second = _mean(image, 1 - alpha)
    for size in _sizes(alpha.shape):
        small, share = resized(image, size), resized(alpha, size)
        first, second = (_doubled(colours, size) for colours in (first, second))
        first, second = _settled(small, share, first, second)
    return first, second


def _mean(image: Colours, weight: Alpha) -> Colours:
    """The weighted mean [1, 1, C]."""
    total = max(float(weight.sum(dtype=np.float64)), 1e-6)
    summed = np.einsum("hwc,hw->c", image, weight)
    return np.asarray(summed / total, np.float32)[None, None]


def _sizes(shape: tuple[int, ...]) -> list[Size]:
    """From a pixel or two to the whole, twice as large each time."""
    sizes = [(shape[0], shape[1])]
    while max(sizes[-1]) > 2:
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes[::-1]


def _doubled(colours: Colours, size: Size) -> Colours:
    """The next level's first guess: every pixel becomes four, less what is too much."""
    twice = colours.repeat(2, axis=0).repeat(2, axis=1)
    fits: Colours = twice[: size[0], : size[1]]
    return fits


def _settled(
    image: Colours, alpha: Alpha, first: Colours, second: Colours
) -> tuple[Colours, Colours]:
    """Both colours, a few steps nearer to mixing to the image and being smooth."""
    weights = _weights(alpha)
    total = sum(weights)
    one, other = alpha[..., None], 1 - alpha[..., None]
    norm = one * one + other * other + total
    for _ in range(_ROUNDS):
        first, second = (_around(colours, weights) / total for colours in (first, second))
        missing = (image - one * first - other * second) / norm
        first = np.clip(first + one * missing, 0, 1)
        second = np.clip(second + other * missing, 0, 1)
    return first, second


def _weights(alpha: Alpha) -> list[Colours]:
    """How much each pixel heeds each of its neighbours: four times [H, W, 1]."""
    return [
        (_SMOOTH + _EDGE * np.abs(alpha - moved))[..., None].astype(np.float32)
        for moved in _moved(alpha)
    ]


def _around(colours: Colours, weights: list[Colours]) -> Colours:
    summed = np.zeros_like(colours)
    for weight, moved in zip(weights, _moved(colours), strict=True):
        summed += weight * moved
    return summed


def _moved(array: NDArray[Any]) -> list[NDArray[Any]]:
    """The neighbours of every pixel: four views of the array's size; the border repeats."""
    height, width = array.shape[:2]
    framed = np.pad(array, ((1, 1), (1, 1), (0, 0))[: array.ndim], mode="edge")
    return [framed[y : y + height, x : x + width] for y, x in _NEIGHBOURS]
