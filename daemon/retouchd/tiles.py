"""Pure: how a hole that is too large for one look is divided into overlapping tiles.

A grid of cores covers the hole. A tile makes up its core and a bit more on each side, where it is
faded into its neighbours, and sees some context around that. Tiles are solved in waves, from where
the photo is known towards the middle; those of one wave are apart, so that every tile sees its
neighbours as the waves before left them, and the order within a wave does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.box import Box
from retouchd.clusters import Frame, PlanSettings

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]
Grid = NDArray[np.int64]

MOST_IN_A_WAVE = 16
"""Tiles asked for at once, so that memory does not grow with the hole."""

_ENOUGH = 1 / 16  # the known part of what a tile sees that makes it one of the first
_TURNS = ((0, 2), (3, 1))  # by even or odd row and column: diagonal neighbours first


def overlap(largest: int) -> int:
    """How far a tile reaches into its neighbours' cores, in pixels."""
    return max(1, largest // 16)


def margin(largest: int) -> int:
    """What a tile sees around its core, in pixels: the overlap and the context beyond it."""
    return overlap(largest) + max(1, 3 * largest // 16)


@dataclass(frozen=True, order=True)
class Tile:
    """One tile. Its boxes are counted in the picture that holds the hole.

    wave: when it is solved. core: what is its alone. reach: what it makes up. crop: what it sees.
    """

    wave: int
    core: Box
    reach: Box
    crop: Box


@dataclass(frozen=True)
class _Axis:
    """The grid along one side of the picture: where its lines are."""

    edges: tuple[int, ...]
    overlap: int
    crop: int
    limit: int

    def core(self, i: int) -> tuple[int, int]:
        """First pixel and number of pixels."""
        return self.edges[i], self.edges[i + 1] - self.edges[i]

    def reach(self, i: int) -> tuple[int, int]:
        """Likewise. The hole ends at the outer lines."""
        start = max(self.edges[i] - self.overlap, self.edges[0])
        return start, min(self.edges[i + 1] + self.overlap, self.edges[-1]) - start

    def seen(self, i: int) -> tuple[int, int]:
        """Likewise, of the crop: centred on the core and pushed into the picture."""
        start, length = self.core(i)
        return min(max(start - (self.crop - length) // 2, 0), self.limit - self.crop), self.crop

    def ramp(self, i: int) -> Floats:
        """The weight over the reach [n], above 0; neighbours' add up to 1."""
        start, length = self.reach(i)
        place = np.arange(start, start + length, dtype=np.float32) + np.float32(0.5)
        weight = np.ones(length, np.float32)
        if i > 0:
            weight *= self._rising(place - np.float32(self.edges[i]))
        if i + 2 < len(self.edges):
            weight *= self._rising(np.float32(self.edges[i + 1]) - place)
        return weight

    def _rising(self, distance: Floats) -> Floats:
        """From 0 to 1 over twice the overlap, without a kink at its ends."""
        t = np.clip(distance / np.float32(2 * self.overlap) + np.float32(0.5), 0, 1)
        return np.asarray(t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True, eq=False)
class Layout:
    """The tiles of one hole, in the order in which they are solved."""

    tiles: tuple[Tile, ...]
    _rows: _Axis
    _columns: _Axis

    @property
    def waves(self) -> Iterator[tuple[Tile, ...]]:
        """The tiles, wave by wave."""
        for _, wave in groupby(self.tiles, lambda tile: tile.wave):
            yield tuple(wave)

    def weights(self, tile: Tile) -> Floats:
        """The weight [h, w] of a tile's answer in its reach, against what earlier waves left.

        So blended, one after the other, all answers' final weights sum to 1 on every hole pixel.
        """
        own = self._ramps(tile)
        total = own.copy()
        for other in self._neighbours(tile):
            both = tile.reach.common(other.reach)
            if other.wave < tile.wave and both.height and both.width:
                here, there = both.seen_from(tile.reach), both.seen_from(other.reach)
                total[here.slices] += self._ramps(other)[there.slices]
        weights: Floats = own / total
        return weights

    def _ramps(self, tile: Tile) -> Floats:
        i, j = self._place(tile)
        return np.outer(self._rows.ramp(i), self._columns.ramp(j))

    def _place(self, tile: Tile) -> tuple[int, int]:
        top, left = tile.core.top, tile.core.left
        return self._rows.edges.index(top), self._columns.edges.index(left)

    def _neighbours(self, tile: Tile) -> Iterator[Tile]:
        i, j = self._place(tile)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                if (down or right) and (other := self._by_place.get((i + down, j + right))):
                    yield other

    @cached_property
    def _by_place(self) -> dict[tuple[int, int], Tile]:
        return {self._place(tile): tile for tile in self.tiles}


def layout(hole: Grey, core: Box, settings: PlanSettings) -> Layout:
    """The tiles that cover the hole pixels of ``core`` in a picture with the hole [H, W] 0/255.

    Hole pixels outside ``core`` are not solved, and count as unknown. Every crop is within the
    largest bucket, all have the same size, and a tile without a hole pixel in its core is left
    out.
    """
    rows = _axis(core.top, core.height, hole.shape[0], settings)
    columns = _axis(core.left, core.width, hole.shape[1], settings)
    shape = len(rows.edges) - 1, len(columns.edges) - 1
    wanted = np.zeros(shape, np.bool_)
    known = np.zeros(shape)
    for i, j in np.ndindex(shape):
        wanted[i, j] = hole[_box(rows.core(i), columns.core(j)).slices].any()
        if wanted[i, j]:
            seen = hole[_box(rows.seen(i), columns.seen(j)).slices]
            known[i, j] = 1 - np.count_nonzero(seen) / seen.size
    return Layout(tuple(_tiles(_rings(wanted, known), rows, columns)), rows, columns)


def _axis(start: int, length: int, limit: int, settings: PlanSettings) -> _Axis:
    largest = settings.largest
    count = -(-length // max(1, largest // 2))
    edges = tuple(start + length * i // count for i in range(count + 1))
    core = max(b - a for a, b in pairwise(edges))
    frame = Frame((limit, limit), settings)
    crop = int(frame.snap(np.array([core + 2 * margin(largest)]))[0])
    return _Axis(edges, overlap(largest), min(crop, largest, limit), limit)


def _box(rows: tuple[int, int], columns: tuple[int, int]) -> Box:
    return Box(rows[0], columns[0], rows[1], columns[1])


def _rings(wanted: NDArray[np.bool_], known: NDArray[np.float64]) -> Grid:
    """How many tiles each wanted one [n, m] lies behind those that see enough; else −1."""
    reached = wanted & (known >= min(_ENOUGH, float(known.max())))
    rings = np.where(wanted, np.int64(wanted.size), -1)
    for ring in range(wanted.size):
        rings[reached] = np.minimum(rings[reached], ring)
        grown = cv2.dilate(reached.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if ((grown & wanted) == reached).all():
            break
        reached = grown & wanted
    return rings


def _tiles(rings: Grid, rows: _Axis, columns: _Axis) -> Iterator[Tile]:
    """Sorted by wave: by ring, then apart from each other, then not too many."""
    places = np.argwhere(rings >= 0).tolist()
    turn = {(i, j): (int(rings[i, j]), _TURNS[i % 2][j % 2]) for i, j in places}
    wave = 0
    for _, members in groupby(sorted(turn, key=lambda at: (turn[at], at)), turn.__getitem__):
        for number, (i, j) in enumerate(members):
            wave += number > 0 and number % MOST_IN_A_WAVE == 0
            yield Tile(
                wave,
                core=_box(rows.core(i), columns.core(j)),
                reach=_box(rows.reach(i), columns.reach(j)),
                crop=_box(rows.seen(i), columns.seen(j)),
            )
        wave += 1
