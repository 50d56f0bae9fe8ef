"""Pure: a rectangle of pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Box:
    """A part of a photo, in its pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index an array with."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    @property
    def end(self) -> tuple[int, int]:
        """The row below the last and the column right of it."""
        return self.top + self.height, self.left + self.width

    def common(self, other: Box) -> Box:
        """What lies in both; its sides are 0 where there is nothing."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = (min(ends) for ends in zip(self.end, other.end, strict=True))
        return Box(top, left, max(bottom - top, 0), max(right - left, 0))

    def seen_from(self, other: Box) -> Box:
        """The same place, counted from another box's corner."""
        return Box(self.top - other.top, self.left - other.left, self.height, self.width)

    def grown(self, margin: int, within: Box) -> Box:
        """With a margin on each side, as far as that lies within another."""
        side = (self.height + 2 * margin, self.width + 2 * margin)
        return Box(self.top - margin, self.left - margin, *side).common(within)
