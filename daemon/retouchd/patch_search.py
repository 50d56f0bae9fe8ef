"""Pure: for each target patch a source that looks like it.

Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm for Structural Image Editing"
(SIGGRAPH 2009): good matches are found at random and spread to their neighbours. All targets take
each step at once, as arrays. Patches are compared in 8 bits at every other pixel, in colour and in
how much detail there is around (Newson et al., "Video Inpainting of Complex Scenes", 2014).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from retouchd.patch_level import SEEN, Index, PatchLevel

_WAYS = ((0, 1), (0, -1), (1, 0), (-1, 0))
_AT_ONCE = 1 << 15  # patches compared in one go: what fits a processor's cache
_BRUTE = 60_000_000  # pairs of patches that are all compared, where there are no more
_NARROWER = 4  # how much smaller each round of the random search is


class Search:
    """The matches of a level's targets, as they get better.

    match: [N], the source of each target. cost: [N], the sum of the absolute differences of their
    samples.
    """

    def __init__(self, level: PatchLevel, match: Index) -> None:
        self._level = level
        samples = np.clip(level.pixels * 255 + 0.5, 0, 255).astype(np.uint8)
        # A pixel is fetched as one word.
        self._words = np.ascontiguousarray(samples.T).view(np.uint32).ravel()
        self._steps = [level.step(shift) for shift in SEEN]
        self.match = match
        self.cost = self._compared(level.targets, match)

    def spread(self, distances: Sequence[int]) -> None:
        """Offer each target what suits those that lie so many pixels beside it."""
        level = self._level
        for distance in distances:
            for way in _WAYS:
                step = distance * level.step(way)
                who = self._with_neighbour(distance * way[1], step)
                offered = self.match[level.number[level.targets[who] + step]] - step
                known = (offered >= 0) & (offered < level.fit.size)
                self._offer(who[known], offered[known])

    def wander(self, random: Generator) -> None:
        """Offer each target sources near its match, the first from all over the picture."""
        level = self._level
        height, width = level.hole.shape
        radius = max(height, width) // 2
        while radius >= 1:
            rows, columns = level.rows_columns(self.match)
            rows = rows + random.integers(-radius, radius + 1, len(rows))
            columns = columns + random.integers(-radius, radius + 1, len(columns))
            inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            who = np.flatnonzero(inside)
            self._offer(who, rows[who] * width + columns[who])
            radius //= _NARROWER

    def _with_neighbour(self, columns: int, step: int) -> Index:
        """The targets whose neighbour so far away is a target too."""
        level = self._level
        at = level.targets + step
        inside = (at >= 0) & (at < level.number.size)
        # A step over the side of the picture would end in the next row.
        column = level.targets % level.width + columns
        inside &= (column >= 0) & (column < level.width)
        inside[inside] = level.number[at[inside]] >= 0
        return np.flatnonzero(inside)

    def _offer(self, who: Index, offered: Index) -> None:
        """Take what is better than the match so far."""
        new = self._level.fit[offered] & (offered != self.match[who])
        who, offered = who[new], offered[new]
        cost = self._compared(self._level.targets[who], offered)
        better = cost < self.cost[who]
        self.match[who[better]] = offered[better]
        self.cost[who[better]] = cost[better]

    def _compared(self, ones: Index, others: Index) -> NDArray[np.int32]:
        """The sums of absolute differences of pairs of patches."""
        cost = np.empty(len(ones), np.int32)
        for start in range(0, len(ones), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            cost[part] = self._differences(ones[part], others[part])
        return cost

    def _differences(self, ones: Index, others: Index) -> NDArray[np.int32]:
        total = np.zeros(4 * len(ones), np.uint16)
        for step in self._steps:
            one, other = (np.take(self._words, which + step) for which in (ones, others))
            apart = cv2.absdiff(one.view(np.uint8), other.view(np.uint8))
            total += np.asarray(apart, np.uint8).ravel()
        by_channel = total.reshape(-1, 4).T.astype(np.int32)
        return np.asarray(by_channel[0] + by_channel[1] + by_channel[2] + by_channel[3], np.int32)


def best_of_all(level: PatchLevel) -> Index | None:
    """Each target's best source, if there are so few of both that all pairs can be compared."""
    if len(level.targets) * len(level.sources) > _BRUTE:
        return None
    targets, sources = (_stacked(level, which) for which in (level.targets, level.sources))
    half = np.square(sources).sum(axis=1) / 2
    nearest = np.empty(len(targets), np.int64)
    for start in range(0, len(targets), 512):
        part = slice(start, start + 512)
        nearest[part] = (half - targets[part] @ sources.T).argmin(axis=1)
    found: Index = level.sources[nearest]
    return found


def _stacked(level: PatchLevel, which: Index) -> NDArray[np.float32]:
    """[n, samples], what is compared of each patch."""
    steps = [level.step(shift) for shift in SEEN]
    return np.concatenate([level.pixels[:, which + step] for step in steps]).T
