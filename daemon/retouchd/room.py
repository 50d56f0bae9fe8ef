"""How much of a device's memory there is for one model's work, learnt the hard way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Room:
    """How many regions fit at once, as far as experience tells.

    most: the most there ever may be. overran: pixels of the smallest batch that did not fit.
    """

    most: int
    overran: int | None = None

    def limit(self, pixels: int) -> int:
        """The most regions of so many pixels: half of what failed, as the ladder halves."""
        if self.overran is None:
            return self.most
        return max(1, min(self.most, self.overran // (2 * pixels)))

    def shrink(self, pixels: int) -> None:
        """A batch of so many pixels did not fit."""
        self.overran = pixels if self.overran is None else min(pixels, self.overran)
