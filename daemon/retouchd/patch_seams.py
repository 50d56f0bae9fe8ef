"""Pure: pieces of a picture laid side by side, so that no step in light shows between them."""

from __future__ import annotations

import cv2
import numpy as np

from retouchd.patch_level import Flags, Index, PatchLevel
from retouchd.poisson import correction
from retouchd.samples import Unit

_EDGE = 0.25  # of the range: a step as large is an edge, and 1/e of it is levelled


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
    across, down = _step(picture, 1), _step(picture, 0)
    right = _excess(across, across[place], source, hole, 1)
    below = _excess(down, down[place].swapaxes(0, 1), source.T, hole.T, level.width)
    picture[place] += correction(right, below.swapaxes(0, 1), hole)
    return picture


def _around(hole: Flags) -> tuple[slice, slice]:
    """The hole with one pixel of what is known."""
    left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
    rows = slice(max(0, top - 1), top + height + 1)
    return rows, slice(max(0, left - 1), left + width + 1)


def _step(picture: Unit, axis: int) -> Unit:
    """[H, W, 3], by how much the next pixel along an axis differs from each; 0 for the last."""
    last = picture[:, -1:] if axis else picture[-1:]
    return np.diff(picture, axis=axis, append=last)


def _excess(step: Unit, now: Unit, source: Index, hole: Flags, stride: int) -> Unit:
    """[h, w, 3], by how much more the next pixel of a row should differ from each than it does.

    step: [H, W, 3], of the whole picture, along the rows of what follows. now: [h, w, 3], the part
    of it that is looked at. source: [h, w], where each of its pixels is from: flat indexes, itself
    where it is known. hole: [h, w]. stride: between flat indexes of a row's neighbours.
    """
    steps = step.reshape(-1, 3)
    here, there = hole[:, :-1], hole[:, 1:]
    # What the right one of a pair wants is the step that leads to its own source.
    wish = here[..., None] * steps[source[:, :-1]]
    wish += there[..., None] * steps[source[:, 1:] - stride]
    wishes = (here.astype(np.float32) + there)[..., None]
    excess = np.zeros_like(now)
    excess[:, :-1] = np.where(wishes > 0, wish / np.maximum(wishes, 1) - now[:, :-1], 0)
    # Levelling an edge that nothing goes on from would smear its two colours over all the hole.
    size = np.abs(excess).max(axis=2, keepdims=True)
    return np.asarray(excess * np.exp(-np.square(size / np.float32(_EDGE))), np.float32)
