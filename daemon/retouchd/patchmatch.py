"""The model ``patchmatch``: inpainting without a network, with what the photo shows elsewhere.

Wexler, Shechtman, Irani, "Space-Time Completion of Video" (PAMI 2007), with the search of Barnes et
al. (``patch_search``): every small patch that touches the hole has to look like one from around it,
and what they agree on is painted; both by turns, from coarse to fine. At full size each pixel is a
copy of a known one, but for slow changes of light (``patch_seams``). So texture goes on as texture
and lines as lines, where diffusion (``classical``) leaves a blur; it knows of no objects, and what
is only in the hole stays unknown.

Thin holes are filled by ``classical``: there a blur is not seen, and it is up to 1 dB closer to the
truth (measured). Equal pictures get equal fills: chance is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from retouchd import classical
from retouchd.engine import Pixels
from retouchd.patch_level import SIDE, Flags, Index, PatchLevel, nearest
from retouchd.patch_onion import peel
from retouchd.patch_seams import laid
from retouchd.patch_search import Search, best_of_all
from retouchd.patch_vote import blend, origins
from retouchd.samples import Unit, is_hole

_THIN = 4.0  # px to the next known pixel, at most
_COARSEST = 5.0  # px likewise, where the first guess is made
_LEAST_SIDE = 32  # px of the coarsest picture
_LEAST_SOURCES = 64
_DETAIL = 0.5  # weight of how much detail there is, against a colour
_WINDOW = 9  # px that this is a mean over
_PASSES = (2, 3, 6)  # at full size, half of it, and below
_WORK = 600_000  # targets that all passes of one size may look at


def fill(image: Pixels, mask: NDArray[np.uint8]) -> Unit:
    """The image with its hole filled from patches around it; see ``classical.fill`` for the rest.

    image: [H, W, 3] uint8 or uint16. mask: [H, W] uint8, 255 in the hole.
    Returns [H, W, 3] float32 in [0, 1]; known pixels are the input's. Where there is too little
    around the hole to take patches from, the fill is that of ``classical``.
    """
    smooth = classical.fill(image, mask)
    hole = is_hole(mask)
    thick = _thick(hole)
    if not thick.any() or min(hole.shape) < SIDE:
        return smooth
    levels = list(_levels(smooth, thick, hole))
    if len(levels[0].sources) < _LEAST_SOURCES:
        return smooth
    match = _paint(levels)
    finest = levels[0]
    origin = origins(finest, match, Search(finest, match).cost)
    return np.clip(laid(finest, origin), 0, 1)


def _thick(hole: Flags) -> Flags:
    """The parts of a hole that are not thin everywhere."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    if depth.max() <= _THIN:
        return np.zeros_like(hole)
    count, labels = cv2.connectedComponents(hole.astype(np.uint8))
    deep = np.zeros(count, np.bool_)
    deep[np.unique(labels[depth > _THIN])] = True
    thick: Flags = deep[labels]
    return thick


def _levels(smooth: Unit, hole: Flags, unfit: Flags) -> Iterator[PatchLevel]:
    """The picture at full size, and halved until its hole is shallow."""
    planes = np.stack([*cv2.split(smooth), _DETAIL * _detail(smooth, unfit)])
    level = PatchLevel(planes, hole, unfit)
    while True:
        yield level
        depth = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        if depth.max() <= _COARSEST or min(level.hole.shape) < 2 * _LEAST_SIDE:
            return
        coarse = _halved(level)
        if not coarse.hole.any() or len(coarse.sources) < _LEAST_SOURCES:
            return
        level = coarse


def _detail(image: Unit, unfit: Flags) -> Unit:
    """[H, W], how much neighbouring pixels differ, of those that are known around; 0 in the hole's
    middle, which is smooth so far."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    right = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    down = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    known = (cv2.dilate(unfit.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0).astype(np.float32)
    window = (_WINDOW, _WINDOW)
    share = cv2.blur(known, window)
    mean = cv2.blur((right + down) * known, window) / np.maximum(share, 0.05)
    return np.asarray(mean, np.float32)


def _halved(level: PatchLevel) -> PatchLevel:
    """Half the size; a pixel is the mean of the known ones below it, and the hole's where they are
    fewer than half. What the hole shows does not matter: it is painted before anybody looks."""
    share, taken = (_smaller((~flags).astype(np.float32)) for flags in (level.hole, level.unfit))
    known = np.stack([_smaller(np.where(level.hole, 0, plane)) for plane in level.planes])
    planes = np.asarray(known / np.maximum(share, 0.5), np.float32)
    return PatchLevel(planes, share < 0.5, taken < 0.5)


def _smaller(plane: Unit) -> Unit:
    height, width = plane.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _paint(levels: list[PatchLevel]) -> Index:
    """Paint all levels from the last, the coarsest one, to the first; gives the sources of the
    first one's targets."""
    random = default_rng(0)
    peel(levels[-1], random)
    match = _agreed(levels[-1], None, _PASSES[-1], random)
    for number in range(len(levels) - 2, -1, -1):
        coarse, level = levels[number + 1], levels[number]
        match = _finer(coarse, match, level)
        blend(level, match, np.zeros(len(match), np.int32))
        match = _agreed(level, match, _PASSES[min(number, len(_PASSES) - 1)], random)
    return match


def _agreed(level: PatchLevel, match: Index | None, passes: int, random: Generator) -> Index:
    """Paint a level in several passes; gives what its targets are copied from at last.

    match: from where to begin; None: anywhere.
    """
    begun = match is not None
    for _ in range(max(1, min(passes, _WORK // len(level.targets)))):
        search = _searched(level, match, random, exhaustive=not begun)
        match = search.match
        blend(level, match, search.cost)
    assert match is not None
    return match


def _searched(
    level: PatchLevel, match: Index | None, random: Generator, *, exhaustive: bool
) -> Search:
    """Better matches for the level's picture as it is by now."""
    best = best_of_all(level) if exhaustive else None
    if best is not None:
        return Search(level, best)
    if match is None:
        match = level.sources[random.integers(0, len(level.sources), len(level.targets))]
    search = Search(level, match)
    if len(level.targets) <= _WORK:
        search.spread((2, 1))
        search.wander(random)
    return search


def _finer(coarse: PatchLevel, match: Index, fine: PatchLevel) -> Index:
    """The sources of a level's targets, from those of the next coarser one."""
    rows, columns = fine.rows_columns(fine.targets)
    height, width = coarse.hole.shape
    at = (rows // 2).clip(0, height - 1) * width + (columns // 2).clip(0, width - 1)
    at = nearest(coarse.number.reshape(height, width) >= 0)[at]
    away = [
        to - start
        for to, start in zip(
            coarse.rows_columns(match[coarse.number[at]]), coarse.rows_columns(at), strict=True
        )
    ]
    return fine.nearest_source(rows + 2 * away[0], columns + 2 * away[1])
