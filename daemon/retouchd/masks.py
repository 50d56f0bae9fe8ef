"""Pure: from what a person painted to the hole that is to be repaired.

A hole is a [H, W] uint8 array, 255 where the photo is to be made up and 0 where it is known.
Sizes are (height, width) in pixels, as numpy has them; messages say width × height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.config import Mask, Rectangle
from retouchd.errors import (
    MaskCoversTooMuch,
    MaskLooksInverted,
    MaskSizeWrong,
    MaskUnreadable,
    RectangleOutside,
)
from retouchd.growing import grow_sparingly
from retouchd.marks import check_marks

Grey = NDArray[np.uint8]
Size = tuple[int, int]

_SAME_SHAPE = 0.01  # aspect ratios this close are the same picture, rounded differently
_GREYS = (64, 192)  # a clean mask has next to nothing between these
_SAMPLE = 1 << 20  # pixels, in whole rows, that tell how much of a mask is grey


@dataclass(frozen=True)
class Names:
    """What messages call the two files."""

    photo: str
    mask: str


@dataclass(frozen=True, eq=False)
class Hole:
    """What is to be repaired in one photo.

    mask: [H, W] uint8 0/255, grown by ``settings.dilate``, or less (see ``grow_sparingly``).
    coverage: share of the photo that was marked, before it was grown, 0 to 1.
    notes: what was recognised or done, in words for a person.
    """

    mask: Grey
    coverage: float
    notes: tuple[str, ...] = ()


def read_hole(
    size: Size,
    settings: Mask,
    names: Names,
    *,
    grey: Grey | None = None,
    alpha: NDArray[np.uint8] | NDArray[np.uint16] | None = None,
    rectangles: Sequence[Rectangle] = (),
) -> Hole:
    """The grown hole of a photo of that size: the union of every source that is given.

    grey: the mask picture [h, w] uint8, white where something is to be removed. alpha: the
    photo's own alpha [H, W], transparent where something is to be removed. ``threshold``,
    ``invert`` and ``resize`` speak of the mask picture only.

    Raises MaskSizeWrong, MaskTooFaint, MaskLooksInverted, MaskCoversTooMuch,
    RectangleOutside, and MaskUnreadable if there is no source at all.
    """
    sources: list[Grey] = []
    notes: list[str] = []
    if grey is not None:
        hole = hole_from_grey(grey, settings)
        check_marks(grey, hole, settings, names.mask)
        notes += _notes_on(grey, hole, size, settings)
        sources.append(fit_to(hole, size, settings.resize, names))
    if alpha is not None:
        sources.append(hole_from_alpha(alpha))
    if rectangles:
        sources.append(holes_from_rectangles(size, rectangles))
    if not sources:
        raise MaskUnreadable(mask=names.mask, cause="nothing says what is to be repaired")
    marked = sources[0]
    for other in sources[1:]:
        cv2.bitwise_or(marked, other, dst=marked)
    coverage = check_coverage(marked, settings, names)
    if coverage == 0:
        notes.append("mask is empty: the output equals the input")
    grown, radius = grow_sparingly(marked, settings.dilate, settings.max_coverage)
    if radius < settings.dilate:
        notes.append(
            f"mask was grown by {radius} px instead of {settings.dilate}, which would have taken "
            "more of the photo than was marked"
        )
    return Hole(grown, coverage, tuple(notes))


def hole_from_grey(grey: Grey, settings: Mask) -> Grey:
    """The hole in a mask picture [H, W] uint8: what is brighter than the threshold.

    With ``settings.invert`` it is the rest. Binarised, so that JPEG noise and soft brushes can
    neither flood the photo nor leave half-known pixels.
    """
    kind = cv2.THRESH_BINARY_INV if settings.invert else cv2.THRESH_BINARY
    return _bytes(cv2.threshold(grey, settings.threshold, 255, kind)[1])


def hole_from_alpha(alpha: NDArray[np.uint8] | NDArray[np.uint16]) -> Grey:
    """The hole in an alpha channel [H, W]: what is less than half (128 of 255) opaque."""
    level = 128 if alpha.dtype == np.uint8 else 128 * 257
    return np.multiply(alpha < level, 255, dtype=np.uint8)


def holes_from_rectangles(size: Size, rectangles: Sequence[Rectangle]) -> Grey:
    """The union of rectangles measured from the corners, clipped to the photo.

    Raises RectangleOutside if one of them does not touch the photo.
    """
    hole = np.zeros(size, np.uint8)
    for number, rectangle in enumerate(rectangles, 1):
        top, left = _corner(size, rectangle)
        rows = slice(max(top, 0), max(top + rectangle.height, 0))
        columns = slice(max(left, 0), max(left + rectangle.width, 0))
        if hole[rows, columns].size == 0:
            raise RectangleOutside(number=number, size=_words(size), corner=rectangle.corner)
        hole[rows, columns] = 255
    return hole


def _corner(size: Size, rectangle: Rectangle) -> tuple[int, int]:
    height, width = size
    low, right = (word in rectangle.corner for word in ("bottom", "right"))
    top = height - rectangle.y - rectangle.height if low else rectangle.y
    left = width - rectangle.x - rectangle.width if right else rectangle.x
    return top, left


def fit_to(hole: Grey, size: Size, resize: bool, names: Names) -> Grey:
    """The hole at the photo's size.

    A hole of another size is scaled if ``resize`` and if its aspect ratio is the photo's (±1 %);
    otherwise MaskSizeWrong is raised, with a hint at what probably happened.
    """
    if hole.shape == size:
        return hole
    if resize and _same_shape(hole.shape, size):
        return scaled(hole, size)
    raise MaskSizeWrong(
        mask=names.mask,
        mask_size=_words(hole.shape),
        path=names.photo,
        size=_words(size),
        hint=_hint(hole.shape, size),
    )


def _hint(mask: tuple[int, ...], photo: Size) -> str:
    turned = (mask[1], mask[0])
    if turned == photo or (_same_shape(turned, photo) and not _same_shape(mask, photo)):
        return (
            " Width and height are swapped: turn the mask by 90°, or draw it on the upright photo."
        )
    if _same_shape(mask, photo):
        return " Or set mask.resize: true for this lane: the shape is the same, so it is scaled."
    return ""


def _same_shape(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    if 0 in first or 0 in second:
        return False
    return abs(first[1] * second[0] / (first[0] * second[1]) - 1) <= _SAME_SHAPE


def scaled(hole: Grey, size: Size) -> Grey:
    """The hole at another size; a pixel is hole if it overlaps any hole pixel, so none is lost."""
    turned = _bytes(cv2.transpose(_highest(hole, size[0])))
    return _bytes(cv2.transpose(_highest(turned, size[1])))


def _highest(hole: Grey, count: int) -> Grey:
    """The maximum over each of ``count`` equal slices of the rows, which may overlap by a row."""
    rows = hole.shape[0]
    out = np.empty((count, hole.shape[1]), np.uint8)
    for i in range(count):
        np.max(hole[i * rows // count : -(-(i + 1) * rows // count)], axis=0, out=out[i])
    return out


def check_coverage(hole: Grey, settings: Mask, names: Names) -> float:
    """The share of the photo that the hole covers (0 to 1), measured before it is grown.

    Raises MaskCoversTooMuch over ``settings.max_coverage``, or MaskLooksInverted where the border
    is white and the black part would be within the limit.
    """
    coverage = cv2.countNonZero(hole) / hole.size
    if coverage <= settings.max_coverage:
        return coverage
    if 0 < 1 - coverage <= settings.max_coverage and _border(hole) > 0.9:
        fix = (
            "This lane has mask.invert: true; use white on black masks, or set it to false."
            if settings.invert
            else "Invert the mask, or set mask.invert: true for this lane."
        )
        raise MaskLooksInverted(
            mask=names.mask, path=names.photo, coverage=f"{coverage:.1%}", fix=fix
        )
    raise MaskCoversTooMuch(
        mask=names.mask,
        path=names.photo,
        coverage=f"{coverage:.1%}",
        allowed=f"{settings.max_coverage:.0%}",
    )


def _border(hole: Grey) -> float:
    """The share of hole pixels along the photo's border."""
    edges = (hole[0], hole[-1], hole[:, 0], hole[:, -1])
    return float(sum(np.count_nonzero(e) for e in edges) / sum(e.size for e in edges))


def _notes_on(grey: Grey, hole: Grey, size: Size, settings: Mask) -> list[str]:
    notes = []
    if settings.invert:
        notes.append("mask was inverted, as mask.invert says")
    if hole.shape != size:
        notes.append(f"mask was scaled from {_words(hole.shape)} to {_words(size)}")
    sample = grey[:: max(1, grey.size // _SAMPLE)]
    counts = cv2.calcHist([sample], [0], None, [256], [0, 256]).ravel()
    soft = float(counts[_GREYS[0] : _GREYS[1]].sum()) / sample.size
    if soft > 0.01:
        notes.append(f"{soft:.0%} of the mask is grey; over {settings.threshold} counts as white")
    return notes


def _words(size: tuple[int, ...]) -> str:
    return f"{size[1]} × {size[0]}"


def _bytes(array: NDArray[np.generic]) -> Grey:
    return array.astype(np.uint8, copy=False)
