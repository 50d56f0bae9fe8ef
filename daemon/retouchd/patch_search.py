"""Pure: for each target patch a source that looks like it.

Barnes et al., "PatchMatch: A Randomized Correspondence Algorithm for Structural Image Editing"
(SIGGRAPH 2009): good matches are found at random and spread to their neighbours. All targets take
each step at once, as arrays. Patches are compared in 8 bits at every other pixel, in colour and in
how much detail there is around (Newson et al., "Video Inpainting of Complex Scenes", 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from retouchd.patch_closest import closest
from retouchd.patch_guide import PatchGuide
from retouchd.patch_level import SEEN, Flags, Index, PatchLevel, words

_WAYS = ((0, 1), (0, -1), (1, 0), (-1, 0))
_GLANCE = SEEN[2::5]  # all over a patch; most of what is offered at random is worse in these alone
_ROUNDS = (_GLANCE, [shift for shift in SEEN if shift not in _GLANCE])
_AT_ONCE = 1 << 12  # patches compared in one go: what fits a processor's cache
_NARROWER = 4  # how much smaller each round of the random search is

_Look = Callable[[Index, Index], NDArray[np.int32]]  # how far targets and sources are apart


class Search:
    """The matches of a level's targets, as they get better.

    match: [N], the source of each target. cost: [N], the sum of the absolute differences of their
    samples, and how far it is off the guide, if there is one.
    """

    def __init__(self, level: PatchLevel, match: Index, guide: PatchGuide | None = None) -> None:
        self.level = level
        self._words = words(level.pixels)
        self._rounds: list[_Look] = [guide.off] if guide else []
        self._rounds += [partial(self._apart, level.steps(part)) for part in _ROUNDS]
        self.match = match
        self.compare()

    def compare(self) -> None:
        """Look anew at the hole, after it was painted."""
        painted, targets = self.level.painted, self.level.targets
        self._words[painted] = words(self.level.pixels[:, painted])
        self.cost = np.zeros(len(targets), np.int32)
        for start in range(0, len(targets), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            for look in self._rounds:
                self.cost[part] += look(targets[part], self.match[part])

    def exhaust(self, random: Generator) -> None:
        """Give each target the closest source."""
        self.match = closest(self.level, self.level.targets, random)
        self.compare()

    def spread(self, distances: Sequence[int]) -> None:
        """Offer each target what suits those that lie so many pixels beside it, ``REACH`` at most.

        So no step over the picture's side ends at a target.
        """
        level = self.level
        for distance in distances:
            for way in _WAYS:
                step = distance * level.step(way)
                neighbour = level.number.take(level.targets + step)
                self._offer(self.match.take(neighbour) - step, neighbour >= 0)

    def wander(self, radius: int, random: Generator) -> None:
        """Offer each target sources near its match, the first at most a radius away."""
        height, width = self.level.hole.shape
        while radius >= 1:
            rows, columns = self.level.rows_columns(self.match)
            rows += random.integers(-radius, radius + 1, len(rows))
            columns += random.integers(-radius, radius + 1, len(columns))
            inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            self._offer(rows * width + columns, inside)
            radius //= _NARROWER

    def _offer(self, offered: Index, possible: Flags) -> None:
        """Take what is better than the match so far.

        offered: [N], any flat indexes; those of sources are taken, where that is possible.
        """
        possible &= self.level.fit.take(offered, mode="wrap")
        possible &= offered != self.match
        who = np.flatnonzero(possible)
        for start in range(0, len(who), _AT_ONCE):
            part = who[start : start + _AT_ONCE]
            self._judge(part, offered.take(part))

    def _judge(self, who: Index, offered: Index) -> None:
        cost = np.zeros(len(who), np.int32)
        for look in self._rounds:
            if not len(who):
                return
            cost += look(self.level.targets.take(who), offered)
            better = np.flatnonzero(cost < self.cost.take(who))
            who, offered, cost = who.take(better), offered.take(better), cost.take(better)
        self.match[who] = offered
        self.cost[who] = cost

    def _apart(self, steps: Index, ones: Index, others: Index) -> NDArray[np.int32]:
        """How much pairs of patches differ in the pixels that lie these steps from the middle."""
        one, other = (self._words.take(which + steps, mode="wrap") for which in (ones, others))
        differences = cv2.absdiff(one.view(np.uint8), other.view(np.uint8))
        total = differences.sum(axis=0, dtype=np.uint16)
        red, green, blue, detail = total.reshape(-1, 4).T
        return np.asarray(red + green + blue + detail, np.int32)
