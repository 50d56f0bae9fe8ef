"""Pure: the colours of subject and background along an edge, from a reduced photo.

Reduced by cells, squares of whole pixels, so that pixels and cells lie upon each other everywhere
in the same way; the colours are worked out where they are asked for, and carried on from further
away (see ``multilevel``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.multilevel import ROUNDS, Alpha, Colours, Mixture, guessed
from retouchd.patchwork import Patch, Patchwork, patches
from retouchd.scaling import Size, Span, halved

Samples = NDArray[Any]  # [H, W] or [H, W, C], of the photo's type

STRIP = 48
"""Rows of the photo that are looked at together; sides of cells divide it."""
_SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
_CELLS = 200_000  # the most that a photo is reduced to,
_SMALL = 400_000  # unless it has no more pixels than that
_SOLVED = 3  # strips that are worked out together
_LONG, _GAP = 1024, 32  # px


@dataclass(frozen=True, eq=False)
class Underlying:
    """Both colours in cells.

    side: of a cell, in pixels. corner: the first cell's place. subject, background: samples
    [h, w, 3], or [h, w] for grey. mean: the subject's colour on average [1 or 3].
    """

    side: int
    corner: tuple[int, int]
    subject: Samples
    background: Samples
    mean: Samples

    @classmethod
    def of(cls, pixels: Pixels, shares: Samples, edge: NDArray[np.bool_]) -> Underlying:
        """Around an edge.

        pixels: [H, W, C]. shares: alpha as samples [H, W]. edge: [strips, W], where colours will be
        asked for.
        """
        box = _around(edge, (shares.shape[0], shares.shape[1]))
        side = _side(box.shape[0] * box.shape[1])
        image, alpha = (_reduced(plane[box.slices], side) for plane in (pixels, shares))
        image = colours_of(image)
        parts = tuple(_cells(strips, box, side) for strips in patches(edge, _SOLVED, _LONG, _GAP))
        # A frame of one cell, for what is interpolated at the border.
        subject, background = (
            cv2.copyMakeBorder(found, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
            for found in _solved(image, alpha, parts, pixels.dtype)
        )
        mean = as_samples(_mean(image, alpha), pixels.dtype)[0]
        corner = box.rows[0] // side - 1, box.columns[0] // side - 1
        return cls(side, corner, subject, background, mean)

    def enlarged(self, parts: Sequence[Patch]) -> tuple[Samples, Samples]:
        """Both colours at some pixels, side by side; all parts begin where strips do, and are
        equally high."""
        return self._enlarged(self.subject, parts), self._enlarged(self.background, parts)

    def _enlarged(self, colours: Samples, parts: Sequence[Patch]) -> Samples:
        side, cells, inner = self.side, list[Samples](), list[Span]()
        for part in parts:
            rows, columns = (
                slice(first // side - corner - 1, -(-end // side) - corner + 1)
                for (first, end), corner in zip((part.rows, part.columns), self.corner, strict=True)
            )
            left = side * (1 + sum(some.shape[1] for some in cells)) + part.columns[0] % side
            inner.append((left, left + part.shape[1]))
            cells.append(colours[rows, columns])
        packed = np.hstack(cells)
        wide = cv2.resize(packed, (packed.shape[1] * side, packed.shape[0] * side))
        rows = slice(side, side + parts[0].shape[0])
        return np.hstack([wide[rows, slice(*span)] for span in inner])


def colours_of(pixels: Samples) -> Samples:
    """A photo's colours as OpenCV likes them best: [H, W, 3], or [H, W] for grey."""
    if pixels.shape[2] == 3:
        return pixels
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :3])


def as_samples(unit: NDArray[Any], dtype: np.dtype[Any]) -> Samples:
    """Values in [0, 1], of at least two dimensions, over the full range of a photo's type.

    Samples of that type are returned as they are.
    """
    if unit.dtype == dtype:
        return unit
    if dtype == np.uint8:
        # One pass, and rounded.
        return cv2.convertScaleAbs(unit, alpha=255)
    top = np.float32(np.iinfo(dtype).max)
    samples: Samples = (unit * top + np.float32(0.5)).astype(dtype)
    return samples


def _around(edge: NDArray[np.bool_], size: Size) -> Patch:
    """The pixels around all of the edge; it begins where cells do, whatever their side."""
    left, top, width, height = cv2.boundingRect(edge.astype(np.uint8))
    across = (left // STRIP, -(-(left + width) // STRIP))
    rows, columns = (
        (max(0, first - 1) * STRIP, min(side, (end + 1) * STRIP))
        for (first, end), side in zip(((top, top + height), across), size, strict=True)
    )
    return Patch(rows, columns)


def _side(area: int) -> int:
    if area <= _SMALL:
        return 1
    return next((side for side in _SIDES if area <= _CELLS * side * side), _SIDES[-1])


def _cells(strips: Patch, box: Patch, side: int) -> Patch:
    """The cells of a box that some strips' columns lie in."""
    (top, bottom), (left, right) = strips.rows, strips.columns
    top, bottom = top * STRIP - box.rows[0], min(bottom * STRIP, box.rows[1]) - box.rows[0]
    left, right = left - box.columns[0], right - box.columns[0]
    return Patch((top // side, -(-bottom // side)), (left // side, -(-right // side)))


def _reduced(plane: Samples, side: int) -> Colours:
    """The means of cells, in [0, 1]; the last may be those of a part of them."""
    height, width = (-(-length // side) for length in plane.shape[:2])
    top, more = np.float32(np.iinfo(plane.dtype).max), plane.shape[2:]
    while side % 2 == 0:
        plane, side = halved(plane), side // 2
    if side == 3:
        # The middle ones of nine that were averaged: faster than OpenCV's own way.
        plane = cv2.blur(plane, (3, 3))[1::3, 1::3]
    frame = (0, height - plane.shape[0], 0, width - plane.shape[1])
    framed = cv2.copyMakeBorder(plane, *frame, cv2.BORDER_REPLICATE)
    unit: Colours = np.asarray(framed, np.float32).reshape(height, width, *more) / top
    return unit


def _mean(image: Colours, alpha: Alpha) -> Colours:
    """The subject's colour [1, 1 or 3]."""
    step = max(1, max(alpha.shape) // 128)
    some = np.s_[::step, ::step] if alpha[::step, ::step].any() else np.s_[:]
    mean = np.einsum("hw...,hw->...", image[some], alpha[some]) / max(alpha[some].sum(), 1e-6)
    return np.asarray(mean, np.float32).reshape(1, -1)


def _solved(
    image: Colours, alpha: Alpha, parts: tuple[Patch, ...], dtype: np.dtype[Any]
) -> Iterator[Samples]:
    """The subject's colours and the background's, in some parts and a cell around."""
    work = Patchwork(parts, ROUNDS + 2)  # as far as they hear of each other
    first, second = (work.of(guess) for guess in guessed(image, alpha))
    mixture = Mixture.of(work.of(image), work.of(alpha))
    first, second = mixture.settled(first, second, ROUNDS)
    # What mixes to the photo exactly is noisy; its mean is what every pixel starts from.
    for found in mixture.smoothed(first, second):
        colours = np.zeros(image.shape, dtype)
        work.back(as_samples(np.clip(found, 0, 1), dtype), colours, 1)
        yield colours
