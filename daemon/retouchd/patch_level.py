"""Pure: one size of a picture whose hole is filled with patches, and where its patches lie.

A patch is a square of ``SIDE`` pixels, named by its middle. Pixels and middles are flat indexes,
row by row. *Targets* are the patches that touch the hole, *sources* those that show nothing but
what is known. Patches lie inside the picture; so each pixel of a hole is covered by some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.samples import Unit

Flags = NDArray[np.bool_]
Index = NDArray[np.int64]

REACH = 3
SIDE = 2 * REACH + 1
SHIFTS = tuple((y, x) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1))

SEEN = tuple((y, x) for y, x in SHIFTS if (y + x) % 2 == 0)
"""Every other pixel of a patch, as shifts of (rows, columns) from its middle: enough to tell it."""


@dataclass(frozen=True, eq=False)
class PatchLevel:
    """A picture at one size; its hole is repainted in place, all else stays.

    planes: [4, H, W] float32: RGB in [0, 1], and how much detail there is around. hole: [H, W],
    what is to be filled. unfit: [H, W], what no patch is taken from; the hole, and maybe more.
    Both sides are more than ``SIDE``, or some pixels would lie under patches only where these are
    not looked at.
    """

    planes: Unit
    hole: Flags
    unfit: Flags

    @property
    def width(self) -> int:
        """W."""
        return int(self.hole.shape[1])

    @property
    def pixels(self) -> Unit:
        """The picture as [4, H · W]; the same memory."""
        return self.planes.reshape(len(self.planes), -1)

    @cached_property
    def painted(self) -> Index:
        """The hole's pixels."""
        return np.flatnonzero(self.hole)

    @cached_property
    def targets(self) -> Index:
        """Patches that touch the hole."""
        return np.flatnonzero(_inside(_near(self.hole)))

    @cached_property
    def fit(self) -> Flags:
        """[H · W], whether the patch there is a source."""
        return sources_outside(self.unfit).ravel()

    @cached_property
    def sources(self) -> Index:
        """Patches that can be copied."""
        return np.flatnonzero(self.fit)

    @cached_property
    def number(self) -> NDArray[np.int32]:
        """[H · W], each target's place among the targets, −1 elsewhere."""
        number = np.full(self.hole.size, -1, np.int32)
        number[self.targets] = np.arange(len(self.targets), dtype=np.int32)
        return number

    @cached_property
    def depth(self) -> Unit:
        """[N], of each target's middle in the hole, in pixels; 0 outside."""
        return depths(self.hole).ravel()[self.targets]

    def step(self, shift: tuple[int, int]) -> int:
        """A shift of (rows, columns) as a difference of flat indexes."""
        return shift[0] * self.width + shift[1]

    def steps(self, shifts: Sequence[tuple[int, int]]) -> Index:
        """[n, 1], likewise, of several; added to indexes [N] it gives what lies around each."""
        return np.array([[self.step(shift)] for shift in shifts])

    def rows_columns(self, index: Index) -> tuple[Index, Index]:
        """Flat indexes as rows and columns."""
        rows = index // self.width  # several times as fast as divmod
        return rows, index - rows * self.width

    def nearest_source(self, rows: Index, columns: Index) -> Index:
        """The sources next to these places, which are pushed into the picture if need be."""
        height, width = self.hole.shape
        at: Index = rows.clip(0, height - 1) * width + columns.clip(0, width - 1)
        off = ~self.fit[at]
        if off.any():
            at[off] = nearest(self.fit.reshape(height, width))[at[off]]
        return at


def depths(hole: Flags) -> Unit:
    """[H, W], how far it is to the next pixel that is known, in pixels; 0 for these."""
    away = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(away, np.float32)


def sources_outside(unfit: Flags) -> Flags:
    """[H, W], the patches that touch nothing that is unfit."""
    return _inside(~_near(unfit))


def nearest(wanted: Flags) -> Index:
    """[H · W], for each pixel the flat index of a nearest one that is wanted; some must be."""
    away = (~wanted).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        away, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(labels.max()) + 1, np.int64)
    which = np.flatnonzero(wanted)
    place[labels.ravel()[which]] = which
    found: Index = np.take(place, labels.ravel().astype(np.int64))
    return found


def smaller(plane: Unit) -> Unit:
    """A plane [H, W] at half the size, rounded up."""
    height, width = plane.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def words(planes: Unit) -> NDArray[np.uint32]:
    """[n], pixels [4, n] in 8 bits; a pixel is one word, so that it is fetched as one."""
    samples = np.empty((planes.shape[1], 4), np.uint8)
    for number, plane in enumerate(planes):
        samples[:, number] = np.clip(plane * 255 + 0.5, 0, 255)
    return samples.view(np.uint32).ravel()


def _near(flags: Flags) -> Flags:
    """Where a patch holds any of these pixels."""
    grown = cv2.dilate(flags.astype(np.uint8), np.ones((SIDE, SIDE), np.uint8))
    return np.asarray(grown, np.bool_)


def _inside(flags: Flags) -> Flags:
    """Only where a whole patch lies in the picture."""
    height, width = flags.shape
    kept = np.zeros_like(flags)
    place = slice(REACH, height - REACH), slice(REACH, width - REACH)
    kept[place] = flags[place]
    return kept
