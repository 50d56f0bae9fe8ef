"""Pure: a small alpha at its photo's size, with the photo's edges.

He, Sun, "Fast Guided Filter" (arXiv 1505.00996): alpha as a linear function of colour is fitted
on the small scale, where it is smooth, and only the coefficients are enlarged. What that blurs
comes back by back-projection (Irani, Peleg 1991): the enlarged alpha, reduced again, must be the
small one. All of that happens in the band where the small alpha is undecided, tile by tile; the
rest is enlarged by bicubic convolution.

Photos are [H, W, C] uint8 or uint16, alphas [H, W] float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.guided import Alpha, Fit, apply, fit
from retouchd.scaling import Matrix, Size, Span, enlarging, resized, shrinking, unit_colours

Band = NDArray[np.uint8]  # [h, w], 1 where the small alpha is undecided

_SURE = 0.02  # alphas as near to 0 or 1, and alike all around, are decided
_TILE = 24  # small pixels
_ROUNDS = 2  # of back-projection
_HALO = 2 * _ROUNDS + 1  # small pixels beside a tile that bear on it: two more with each round


def enlarge(pixels: Pixels, small: Alpha) -> Alpha:
    """A small alpha [h, w] of the whole photo at the photo's size [H, W].

    The cost grows with the photo only by a bicubic enlargement; the rest grows with the band. An
    alpha that is not smaller than the photo is only resized.
    """
    size = (pixels.shape[0], pixels.shape[1])
    out = _unit(resized(small, size))
    if small.shape[0] >= size[0] or small.shape[1] >= size[1]:
        return out
    band = undecided(small)
    if band.any():
        fitted = fit(unit_colours(pixels, small.shape), small, 1)
        for tile in _tiles(band, size):
            rows, columns = tile.place
            out[rows, columns] = _sharpened(pixels, small, fitted, band, tile)
    return out


def undecided(small: Alpha) -> Band:
    """1 within two pixels of where an alpha is neither 0 nor 1, or where it changes; else 0."""
    near = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(small, near), cv2.dilate(small, near)
    # Pixels that are neither, or have neighbours on the other side.
    unsure = ~((high < _SURE) | (low > 1 - _SURE))
    return np.asarray(cv2.dilate(unsure.astype(np.uint8), near), np.uint8)


@dataclass(frozen=True)
class _Axis:
    """A tile along one axis: its pixels, and the window of small pixels and pixels around it."""

    large: int
    small: int
    core: Span
    cells: Span
    part: Span

    @property
    def inner(self) -> slice:
        return slice(self.core[0] - self.part[0], self.core[1] - self.part[0])

    def up(self, *, cubic: bool) -> Matrix:
        return enlarging(self.large, self.small, self.part, self.cells, cubic=cubic)

    def down(self) -> Matrix:
        return shrinking(self.large, self.small, self.part, self.cells)


@dataclass(frozen=True)
class _Tile:
    down: _Axis
    across: _Axis

    @property
    def place(self) -> tuple[slice, slice]:
        return slice(*self.down.core), slice(*self.across.core)

    @property
    def cells(self) -> tuple[slice, slice]:
        return slice(*self.down.cells), slice(*self.across.cells)

    @property
    def part(self) -> tuple[slice, slice]:
        return slice(*self.down.part), slice(*self.across.part)


def _tiles(band: Band, size: Size) -> Iterator[_Tile]:
    """Tiles that hold some of the band, as small as what they hold of it."""
    for top in range(0, band.shape[0], _TILE):
        for left in range(0, band.shape[1], _TILE):
            held = band[top : top + _TILE, left : left + _TILE]
            x, y, width, height = cv2.boundingRect(held)
            if width:
                rows = (top + y, top + y + height)
                columns = (left + x, left + x + width)
                yield _Tile(
                    _axis(size[0], band.shape[0], rows), _axis(size[1], band.shape[1], columns)
                )


def _axis(large: int, small: int, cells: Span) -> _Axis:
    scale = large / small
    wide = (max(0, cells[0] - _HALO), min(small, cells[1] + _HALO))
    return _Axis(
        large,
        small,
        core=(round(cells[0] * scale), round(cells[1] * scale)),
        cells=wide,
        part=(int(wide[0] * scale), min(large, ceil(wide[1] * scale))),
    )


def _sharpened(pixels: Pixels, small: Alpha, fitted: Fit, band: Band, tile: _Tile) -> Alpha:
    """The alpha of a tile's pixels."""
    wanted = small[tile.cells]
    cubic = tile.down.up(cubic=True), tile.across.up(cubic=True)
    shrink = tile.down.down(), tile.across.down()
    plain = _unit(_both(cubic, wanted))
    loose = _nearest(band[tile.cells], tile)
    alpha = np.where(loose, _guided(pixels, fitted, tile), plain)
    for _ in range(_ROUNDS):
        missing = wanted - _both(shrink, alpha)
        alpha = np.where(loose, _unit(alpha + _both(cubic, missing)), plain)
    inner: Alpha = alpha[tile.down.inner, tile.across.inner]
    return inner


def _guided(pixels: Pixels, fitted: Fit, tile: _Tile) -> Alpha:
    linear = tile.down.up(cubic=False), tile.across.up(cubic=False)
    wide = _both(linear, fitted[tile.cells].transpose(2, 0, 1)).transpose(1, 2, 0)
    return _unit(apply(wide, unit_colours(pixels[tile.part])))


def _both(matrices: tuple[Matrix, Matrix], values: NDArray[Any]) -> NDArray[Any]:
    """The matrices along both axes: [..., h, w] → [..., H, W]."""
    changed: NDArray[Any] = matrices[0] @ values @ matrices[1].T
    return changed


def _nearest(band: Band, tile: _Tile) -> NDArray[np.bool_]:
    """Which of a window's pixels lie in the band."""
    rows, columns = (
        ((np.arange(*axis.part) + 0.5) * (axis.small / axis.large)).astype(np.int64)
        for axis in (tile.down, tile.across)
    )
    # The window's last pixels may lie half in a cell beyond it.
    rows = rows.clip(*_ends(tile.down.cells)) - tile.down.cells[0]
    columns = columns.clip(*_ends(tile.across.cells)) - tile.across.cells[0]
    return band[np.ix_(rows, columns)] > 0


def _ends(span: Span) -> Span:
    return span[0], span[1] - 1


def _unit(alpha: NDArray[Any]) -> Alpha:
    unit: Alpha = np.clip(alpha, 0, 1, dtype=np.float32)
    return unit
