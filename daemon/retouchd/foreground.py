"""Pure: the subject's own colours, so that a cut-out shows nothing of its old background.

A half transparent pixel of a photo is a mixture; put on another background it would glow with the
old one. Its colour is found on a reduced photo (see ``multilevel``), and at full size by one pass
of blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021), tile by tile
along the edge. The colours are carried on beneath what is transparent, because programs that scale
pictures look there as well.

Photos are [H, W, C] uint8 or uint16, alphas [H, W] float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.multilevel import both_colours
from retouchd.scaling import Span, colours, enlarging, resized

Alpha = NDArray[np.float32]
Planes = NDArray[np.float32]  # [C, H, W] in [0, 1]
Edge = NDArray[np.uint8]  # [H, W], 1 where alpha is not the same 0 or 1 all around

_PIXELS = 1 << 17  # of the reduced photo
_TILE = 128
_REACH = 16  # px beyond the edge that the colours are carried on for, at least
_FAITH = 1e-2  # weight of smoothness against being mixed from both colours
_HINT = 1e-2  # weight of the reduced photo's colour, which counts where no other is near


@dataclass(frozen=True)
class _Window:
    """Rows and columns of the photo, from the first to one past the last."""

    rows: Span
    columns: Span

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(*self.rows), slice(*self.columns)

    @property
    def spans(self) -> tuple[Span, Span]:
        return self.rows, self.columns

    def grown(self, by: int, limit: _Window) -> _Window:
        """With a border, as far as the limit allows."""
        rows, columns = (
            (max(low, part[0] - by), min(high, part[1] + by))
            for part, (low, high) in zip(self.spans, limit.spans, strict=True)
        )
        return _Window(rows, columns)


def foreground(pixels: Pixels, alpha: Alpha) -> Pixels:
    """The subject's colours [H, W, 1 or 3], of the photo's type.

    Opaque pixels keep theirs exactly. Around the edge, transparent ones have the colour that the
    subject has nearby; further away all have its mean, so that nothing of the old background is
    left in the file.
    """
    own, edge = colours(pixels), _edge(alpha)
    box = _around(edge)
    # Without an edge there is all of the subject, or none.
    coarse = None if box is None else _Coarse.of(own, alpha, box)
    out = np.empty_like(own)
    out[...] = 0 if coarse is None else _samples(coarse.mean, own.dtype)
    cv2.copyTo(own, (alpha > 0).astype(np.uint8), out)
    if coarse is not None:
        for tile in _tiles(edge, coarse.box):
            _repaint(out, own, alpha, tile, coarse)
    return out


def _edge(alpha: Alpha) -> Edge:
    level = (alpha > 0).astype(np.uint8) + (alpha >= 1)
    near = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(level, near), cv2.dilate(level, near)
    return np.asarray((low < 2) & (high > 0), np.uint8)


def _around(edge: Edge) -> _Window | None:
    left, top, width, height = cv2.boundingRect(edge)
    if not width:
        return None
    whole = _Window((0, edge.shape[0]), (0, edge.shape[1]))
    return _Window((top, top + height), (left, left + width)).grown(_REACH, whole)


@dataclass(frozen=True, eq=False)
class _Coarse:
    """Both colours [2, C, h, w] of a box of the photo, reduced; and the subject's mean [C]."""

    box: _Window
    both: NDArray[np.float32]
    mean: NDArray[np.float32]

    @classmethod
    def of(cls, own: Pixels, alpha: Alpha, box: _Window) -> _Coarse:
        share = alpha[box.slices]
        scale = min(1.0, sqrt(_PIXELS / share.size))
        size = tuple(max(1, round(side * scale)) for side in share.shape)
        image = _unit(resized(np.ascontiguousarray(own[box.slices]), size))
        small = resized(share, size)
        subject, background = both_colours(image, small)
        both = np.stack([subject, background]).transpose(0, 3, 1, 2)
        mean = np.einsum("hwc,hw->c", image, small) / max(float(small.sum()), 1e-6)
        return cls(box, np.ascontiguousarray(both), mean.astype(np.float32))

    @property
    def step(self) -> float:
        """How many pixels of the photo one of these is wide."""
        return (self.box.rows[1] - self.box.rows[0]) / float(self.both.shape[2])

    def enlarged(self, part: _Window) -> tuple[Planes, Planes]:
        """Both colours [C, H, W] in a window of the box."""
        (rows, down), (columns, across) = (
            _linear(last - first, small, (span[0] - first, span[1] - first))
            for span, (first, last), small in zip(
                part.spans, self.box.spans, self.both.shape[2:], strict=True
            )
        )
        wide = down @ self.both[:, :, rows, columns] @ across.T
        return wide[0], wide[1]


def _linear(large: int, small: int, part: Span) -> tuple[slice, NDArray[np.float32]]:
    """Which cells a part of an axis is interpolated from, and how."""
    first = max(0, int((part[0] + 0.5) * small / large - 0.5))
    last = min(small, int((part[1] - 0.5) * small / large - 0.5) + 2)
    return slice(first, last), enlarging(large, small, part, (first, last))


def _tiles(edge: Edge, box: _Window) -> Iterator[_Window]:
    """Tiles of the box with an edge in or near them."""
    for top in range(*box.rows, _TILE):
        for left in range(*box.columns, _TILE):
            tile = _Window((top, top + _TILE), (left, left + _TILE)).grown(0, box)
            if cv2.countNonZero(edge[tile.grown(_REACH, box).slices]):
                yield tile


def _repaint(out: Pixels, own: Pixels, alpha: Alpha, tile: _Window, coarse: _Coarse) -> None:
    """Write the subject's colours wherever a tile is not opaque."""
    share = alpha[tile.slices]
    mixed = ((share > 0) & (share < 1)).astype(np.uint8)
    _write(out[tile.slices], coarse.enlarged(tile)[0], share < 1)
    left, top, width, height = cv2.boundingRect(mixed)
    if width:
        y, x = tile.rows[0] + top, tile.columns[0] + left
        part = _Window((y, y + height), (x, x + width))
        _write(out[part.slices], _unmixed(own, alpha, part, coarse), alpha[part.slices] < 1)


def _write(target: Pixels, planes: Planes, where: NDArray[np.bool_]) -> None:
    samples = _samples(planes, target.dtype)
    for channel, plane in enumerate(samples):
        np.copyto(target[..., channel], plane, where=where)


def _unmixed(own: Pixels, alpha: Alpha, tile: _Window, coarse: _Coarse) -> Planes:
    """The subject's colours [C, H, W] in a tile."""
    radius = max(1, round(coarse.step / 2))
    around = tile.grown(radius, coarse.box)
    share = alpha[around.slices]
    image = np.ascontiguousarray(_unit(own[around.slices]).transpose(2, 0, 1))
    subject, background = coarse.enlarged(around)
    missing = _missing(image, share, subject, background)
    # The first mixture is exact but noisy; its mean is what the second starts from.
    subject = _fused(subject + share * missing, share, subject, radius)
    background = _fused(background + (1 - share) * missing, 1 - share, background, radius)
    found = subject + share * _missing(image, share, subject, background)
    rows, columns = (
        slice(part[0] - wide[0], part[1] - wide[0])
        for part, wide in zip(tile.spans, around.spans, strict=True)
    )
    inner: Planes = found[:, rows, columns]
    return inner


def _missing(image: Planes, share: Alpha, subject: Planes, background: Planes) -> Planes:
    """What a mixture of both lacks of the photo, for each to take as much of as it shows."""
    rest = image - background - share * (subject - background)
    rest /= share * share + (1 - share) ** 2 + np.float32(_FAITH)
    return rest


def _fused(planes: Planes, share: Alpha, hint: Planes, radius: int) -> Planes:
    """The mean colour around each pixel, weighted by how much of it shows."""
    side = (2 * radius + 1, 2 * radius + 1)
    total = cv2.blur(share, side) + np.float32(_HINT)
    shown = np.clip(planes, 0, 1) * share
    summed = np.stack([cv2.blur(plane, side) for plane in shown])
    mean: Planes = (summed + np.float32(_HINT) * hint) / total
    return mean


def _unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)


def _samples(unit: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    top = np.float32(np.iinfo(dtype).max)
    rounded: NDArray[Any] = np.floor(np.clip(unit, 0, 1) * top + np.float32(0.5)).astype(dtype)
    return rounded
