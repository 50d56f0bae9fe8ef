"""Pure: a hole's pixels from the patches that were found for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retouchd.patch_level import REACH, SEEN, SHIFTS, Index, PatchLevel

_COMMON = 60  # per cent of the patches that are no worse than what counts as usual
_FADE = 1.1  # by which a patch counts less, a pixel deeper in the hole …
_DEEPEST = 40.0  # … down to here
_CENTRAL = 0.05  # how much a patch's middle is preferred to its rim, by squared distance
_AT_ONCE = 1 << 16  # pixels


def blend(level: PatchLevel, match: Index, cost: NDArray[np.int32]) -> None:
    """Each pixel of the hole becomes the mean of what all patches over it want.

    match, cost: [N], each target's source and how far that is off. Wexler, Shechtman, Irani,
    "Space-Time Completion of Video" (PAMI 2007): good patches count more, and those near what is
    known.
    """
    usual = np.percentile(cost, _COMMON) + 1
    weight = np.exp(-np.square(cost / usual) / 2) * _FADE ** -np.minimum(level.depth, _DEEPEST)
    # Where all are bad, they still have to agree on something.
    weight = (weight + 1e-12).astype(np.float32)
    for pixels in _parts(level.painted):
        total = np.zeros((4, len(pixels)), np.float32)
        weights = np.zeros(len(pixels), np.float32)
        for shift in SEEN:
            patch, over = _patches(level, pixels, shift)
            share = np.where(over, np.take(weight, patch), np.float32(0))
            origin = np.take(match, patch) - level.step(shift)
            for number, plane in enumerate(level.pixels):
                total[number] += share * np.take(plane, origin)
            weights += share
        level.pixels[:, pixels] = total / weights


def origins(level: PatchLevel, match: Index, cost: NDArray[np.int32]) -> Index:
    """[painted], for each pixel of the hole the one that the best patch over it shows there."""
    return np.concatenate(
        [_origins(level, pixels, match, cost) for pixels in _parts(level.painted)]
    )


def _origins(level: PatchLevel, pixels: Index, match: Index, cost: NDArray[np.int32]) -> Index:
    least = np.full(len(pixels), np.inf)
    origin = np.zeros(len(pixels), np.int64)
    for shift in SHIFTS:
        number, over = _patches(level, pixels, shift)
        penalty = 1 + _CENTRAL * (shift[0] ** 2 + shift[1] ** 2)
        price = np.where(over, penalty * (cost[number] + 1.0), np.inf)
        better = price < least
        least[better] = price[better]
        origin[better] = match[number[better]] - level.step(shift)
    return origin


def _parts(pixels: Index) -> list[Index]:
    return [pixels[start : start + _AT_ONCE] for start in range(0, len(pixels), _AT_ONCE)]


def _patches(
    level: PatchLevel, pixels: Index, shift: tuple[int, int]
) -> tuple[Index, NDArray[np.bool_]]:
    """The number of the patch whose middle lies a shift away from each pixel, and whether there is
    one; where not, the number is that of another."""
    rows, columns = level.rows_columns(pixels)
    height, width = level.hole.shape
    rows, columns = rows + shift[0], columns + shift[1]
    inside = (rows >= REACH) & (rows < height - REACH)
    inside &= (columns >= REACH) & (columns < width - REACH)
    middle = np.where(inside, pixels + level.step(shift), level.targets[0])
    return level.number[middle].astype(np.int64), inside
