"""Pure: the parts of a plane where there is work, and those parts side by side in one array.

Most of an alpha is plain. What has to be worked out lies along its edges: in stretches of columns
within strips of rows. Many small arrays cost more in calls than in arithmetic, so that they are
worked on as one, each with a frame of its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.scaling import Span

Marks = NDArray[Any]  # [h, w], not 0 where there is work


@dataclass(frozen=True)
class Patch:
    """A part of a plane."""

    rows: Span
    columns: Span

    @property
    def slices(self) -> tuple[slice, slice]:
        """For arrays."""
        return slice(*self.rows), slice(*self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def within(self, other: Patch) -> Patch:
        """The same, counted from the other's corner."""
        (top, bottom), (left, right) = self.rows, self.columns
        y, x = other.rows[0], other.columns[0]
        return Patch((top - y, bottom - y), (left - x, right - x))

    def evened(self) -> Patch:
        """With up to one row and column more on each side, so that all begin and end evenly."""
        rows, columns = ((a // 2 * 2, -(-b // 2) * 2) for a, b in (self.rows, self.columns))
        return Patch(rows, columns)

    def grown(self, by: int, limit: tuple[int, ...]) -> Patch:
        """With a frame, as far as a plane of that height and width goes."""
        rows, columns = (
            (max(0, first - by), min(side, end + by))
            for (first, end), side in zip((self.rows, self.columns), limit, strict=False)
        )
        return Patch(rows, columns)


def patches(marked: Marks, height: int, longest: int, gap: int) -> Iterator[Patch]:
    """Patches that hold all that is marked, in strips of ``height`` rows, as low as they may be.

    longest: the most columns of one; gap: as many columns without a mark do not end it.
    """
    tops = range(0, marked.shape[0], height)
    strips = marked if height == 1 else np.maximum.reduceat(marked, tops, axis=0)
    for strip, first, end in _split(_joined(_runs(strips), gap), longest):
        rows = tops[strip], min(tops[strip] + height, marked.shape[0])
        if height > 1:
            held = np.flatnonzero(marked[slice(*rows), first:end].max(axis=1))
            # All of a long gap may have been split off.
            if not len(held):
                continue
            rows = rows[0] + int(held[0]), rows[0] + int(held[-1]) + 1
        yield Patch(rows, (first, end))


_Run = tuple[int, int, int]  # a row, its first marked column, and one past the last


def _runs(marked: Marks) -> Iterator[_Run]:
    height, width = marked.shape
    framed = np.zeros((height, width + 2), np.bool_)
    np.not_equal(marked, 0, out=framed[:, 1:-1])
    changes = np.flatnonzero(framed[:, 1:] != framed[:, :-1])
    rows, columns = (changes[::2] // (width + 1)).tolist(), (changes % (width + 1)).tolist()
    return zip(rows, columns[::2], columns[1::2], strict=True)


def _joined(runs: Iterator[_Run], gap: int) -> Iterator[_Run]:
    last: _Run | None = None
    for run in runs:
        if last and last[0] == run[0] and run[1] - last[2] <= gap:
            last = (run[0], last[1], run[2])
            continue
        if last:
            yield last
        last = run
    if last:
        yield last


def _split(runs: Iterator[_Run], longest: int) -> Iterator[_Run]:
    for row, start, end in runs:
        for first in range(start, end, longest):
            yield row, first, min(first + longest, end)


@dataclass(frozen=True)
class Patchwork:
    """Patches of a plane, side by side, each in a frame of ``halo`` neighbours.

    The plane's border repeats beyond it. All have the height of the highest.
    """

    parts: tuple[Patch, ...]
    halo: int

    def of(self, plane: NDArray[Any]) -> NDArray[Any]:
        """The patches [height, all of their widths, ...] of a plane [h, w, ...]."""
        halo, height = self.halo, self._height
        frame = (halo, halo + height, halo, halo)
        padded = cv2.copyMakeBorder(plane, *frame, cv2.BORDER_REPLICATE)
        padded = padded.reshape(*padded.shape[:2], *plane.shape[2:])
        return np.hstack(
            [
                padded[part.rows[0] : part.rows[0] + height, first : end + 2 * halo]
                for part in self.parts
                for first, end in [part.columns]
            ]
        )

    def back(self, worked: NDArray[Any], plane: NDArray[Any], frame: int = 0) -> None:
        """Put the patches back, with ``frame`` of their neighbours as far as the plane goes."""
        left = 0
        for part in self.parts:
            shown = part.grown(frame, plane.shape)
            top, bottom = (row - part.rows[0] + self.halo for row in shown.rows)
            start, end = (column - part.columns[0] + self.halo for column in shown.columns)
            plane[shown.slices] = worked[top:bottom, left + start : left + end]
            left += part.columns[1] - part.columns[0] + 2 * self.halo

    @property
    def _height(self) -> int:
        return max(part.rows[1] - part.rows[0] for part in self.parts) + 2 * self.halo
