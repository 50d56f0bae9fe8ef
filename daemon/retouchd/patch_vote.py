"""Pure: a hole's pixels from the patches that were found for it."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.patch_level import SEEN, SHIFTS, Index, PatchLevel

_COMMON = 60  # per cent of the patches that are no worse than what counts as usual
_FADE = 1.1  # by which a patch counts less, a pixel deeper in the hole …
_DEEPEST = 40.0  # … down to here
_CENTRAL = 0.05  # how much a patch's middle is preferred to its rim, by squared distance
_AT_ONCE = 1 << 12  # pixels: what fits a processor's cache

_T = TypeVar("_T", np.float32, np.int64)


def blend(level: PatchLevel, match: Index, cost: NDArray[np.int32]) -> None:
    """Each pixel of the hole becomes the mean of what all patches over it want.

    match, cost: [N], each target's source and how far that is off. Wexler, Shechtman, Irani,
    "Space-Time Completion of Video" (PAMI 2007): good patches count more, and those near what is
    known.
    """
    usual = np.percentile(cost, _COMMON) + 1
    weight = np.exp(-np.square(cost / usual) / 2) * _FADE ** -np.minimum(level.depth, _DEEPEST)
    # Where all are bad, they still have to agree on something.
    weights = _placed(level, (weight + 1e-12).astype(np.float32), 0)
    matches = _placed(level, match, match[0])
    steps = level.steps(SEEN)
    for pixels in _parts(level.painted):
        middles = pixels + steps
        share = weights.take(middles, mode="wrap")
        whole = share.sum(axis=0)
        origin = matches.take(middles, mode="wrap") - steps
        for plane in level.pixels:
            plane[pixels] = np.einsum("sn,sn->n", share, plane.take(origin)) / whole


def origins(level: PatchLevel, match: Index, cost: NDArray[np.int32]) -> Index:
    """[painted], for each pixel of the hole the one that the best patch over it shows there."""
    prices = _placed(level, (cost + 1).astype(np.float32), np.inf)
    matches = _placed(level, match, match[0])
    steps = level.steps(SHIFTS)
    away = np.square(SHIFTS).sum(axis=1, keepdims=True)
    penalty = (1 + _CENTRAL * away).astype(np.float32)
    found = []
    for pixels in _parts(level.painted):
        price = prices.take(pixels + steps, mode="wrap") * penalty
        step = steps.ravel()[cv2.reduceArgMin(price, 0).ravel()]
        found.append(matches[pixels + step] - step)
    return np.concatenate(found)


def _parts(pixels: Index) -> list[Index]:
    return [pixels[start : start + _AT_ONCE] for start in range(0, len(pixels), _AT_ONCE)]


def _placed(level: PatchLevel, values: NDArray[_T], elsewhere: float) -> NDArray[_T]:
    """[H · W], what belongs to each target, at its middle.

    A shift over the picture's side leads into the next row, or around to the other end. Neither
    needs a check: that is next to the border again, where no target has its middle.
    """
    placed = np.full(level.hole.size, elsewhere, values.dtype)
    placed[level.targets] = values
    return placed
