"""Pure: pieces of a picture laid side by side, so that no step in light shows between them."""

from __future__ import annotations

import cv2
import numpy as np

from retouchd.patch_level import Flags, Index, PatchLevel
from retouchd.poisson import correction
from retouchd.samples import Unit

_EDGE = 0.25  # of the range: a step as large is an edge, and 1/e of it is levelled
_PAIRS = ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]))  # neighbours, down and across


def laid(level: PatchLevel, origin: Index) -> Unit:
    """The picture [H, W, 3] with its hole filled by copies, their light fitted to each other.

    origin: [painted], for each pixel of the hole the one that it is a copy of. Neighbours differ as
    they do where they were taken from, in the mean of both places where these are two; so what
    changes slowly goes over from one piece to the next, and to what is around the hole.
    """
    picture = np.ascontiguousarray(level.planes[:3].transpose(1, 2, 0))
    picture.reshape(-1, 3)[level.painted] = picture.reshape(-1, 3)[origin]
    source = np.arange(level.hole.size)
    source[level.painted] = origin
    place = _around(level.hole)
    source, hole = source.reshape(level.hole.shape)[place], level.hole[place]
    right, below = (_excess(picture, place, source, hole, axis) for axis in (1, 0))
    picture[place] += correction(right, below, hole)
    return picture


def _around(hole: Flags) -> tuple[slice, slice]:
    """The hole with one pixel of what is known."""
    left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
    rows = slice(max(0, top - 1), top + height + 1)
    return rows, slice(max(0, left - 1), left + width + 1)


def _excess(
    picture: Unit, place: tuple[slice, slice], source: Index, hole: Flags, axis: int
) -> Unit:
    """[h, w, 3], how much more than it does each pixel's next one along an axis should differ.

    picture: [H, W, 3]. place: the part of it that is looked at. source: [h, w], where each of its
    pixels is from: flat indexes, itself where it is known. hole: [h, w].
    """
    here, there = _PAIRS[axis]
    step = _step(picture, axis)
    stride = (picture.shape[1], 1)[axis]
    excess = np.zeros((*hole.shape, 3), np.float32)
    # What the second of a pair wants is the step that leads to its own source. What is known wants
    # what there is.
    wish = step.reshape(-1, 3)[source[here]]
    wish += step.reshape(-1, 3)[source[there] - stride]
    wish -= 2 * step[place][here]
    share = np.where(hole[here] & hole[there], np.float32(0.5), np.float32(1))
    # Levelling an edge that nothing goes on from would smear its two colours over all the hole.
    red, green, blue = cv2.split(np.abs(wish))
    size = share * np.maximum(np.maximum(red, green), blue)
    share *= np.exp(-np.square(size / np.float32(_EDGE)))
    excess[here] = wish * share[..., None]
    return excess


def _step(picture: Unit, axis: int) -> Unit:
    """[H, W, 3], by how much the next pixel along an axis differs from each; 0 for the last."""
    step = np.zeros_like(picture)
    here, there = _PAIRS[axis]
    np.subtract(picture[there], picture[here], out=step[here])
    return step
