"""The model ``patchmatch``: inpainting without a network, with what the photo shows elsewhere.

Wexler, Shechtman, Irani, "Space-Time Completion of Video" (PAMI 2007), with the search of Barnes et
al. (``patch_search``): every small patch that touches the hole has to look like one from around it,
and what they agree on is painted; both by turns, from coarse to fine, where a blur keeps them to
the colours of the place (``patch_guide``). At full size each pixel is a copy of a known one, but
for slow changes of light (``patch_seams``). So texture goes on as texture and lines as lines, where
diffusion (``classical``) leaves a blur; it knows of no objects, and what is only in the hole stays
unknown.

Thin holes are filled by ``classical``: it costs less, and there a blur is hardly seen. Equal
pictures get equal fills: chance is seeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from retouchd import classical
from retouchd.engine import Pixels
from retouchd.patch_guide import PatchGuide, guides
from retouchd.patch_level import (
    SIDE,
    Flags,
    PatchLevel,
    depths,
    nearest,
    smaller,
    sources_outside,
)
from retouchd.patch_onion import peel
from retouchd.patch_seams import laid
from retouchd.patch_search import Search
from retouchd.patch_vote import blend, origins
from retouchd.samples import Unit, is_hole, to_unit

_THIN = 4.0  # px to the next known pixel, at most
_COARSEST = 5.0  # px likewise, where the first guess is made
_LEAST_SIDE = 32  # px of the coarsest picture
_LEAST_SOURCES = 64
_DETAIL = 0.5  # weight of how much detail there is, against a colour
_WINDOW = 9  # px that this is a mean over
_PASSES = (2, 3, 6)  # at full size, half of it, and below
_NEAR = 16  # px around a match that are searched; the coarser sizes have seen the rest
_PAIRS = 150_000_000  # of patches that may be compared with all at the coarsest size
_WORK = 600_000  # targets that all passes of one size may look at


def fill(image: Pixels, mask: NDArray[np.uint8]) -> Unit:
    """The image with its hole filled from patches around it; see ``classical.fill`` for the rest.

    image: [H, W, 3] uint8 or uint16. mask: [H, W] uint8, 255 in the hole.
    Returns [H, W, 3] float32 in [0, 1]; known pixels are the input's. Where there is too little
    around the hole to take patches from, the fill is that of ``classical``.
    """
    hole = is_hole(mask)
    thick = _thick(hole)
    if not thick.any() or not _much_around(hole):
        return classical.fill(image, mask)
    # What is under the thick parts does not matter: nobody looks there before it is painted.
    known = to_unit(image) if np.array_equal(thick, hole) else classical.fill(image, mask)
    levels = list(_levels(known, thick, hole))
    found = _paint(levels, guides(levels))
    origin = origins(levels[0], found.match, found.cost)
    return np.clip(laid(levels[0], origin), 0, 1)


def _much_around(hole: Flags) -> bool:
    """Whether there is enough to take patches from, and room for more than one beside another."""
    sources = np.count_nonzero(sources_outside(hole))
    return min(hole.shape) > SIDE and bool(sources >= _LEAST_SOURCES)


def _thick(hole: Flags) -> Flags:
    """The parts of a hole that are not thin everywhere."""
    depth = depths(hole)
    if depth.max() <= _THIN:
        return np.zeros_like(hole)
    count, labels = cv2.connectedComponents(hole.astype(np.uint8))
    deep = np.zeros(count, np.bool_)
    deep[labels[depth > _THIN]] = True
    thick: Flags = deep[labels]
    return thick


def _levels(image: Unit, hole: Flags, unfit: Flags) -> Iterator[PatchLevel]:
    """The picture at full size, and halved until its hole is shallow and not too much work."""
    planes = np.stack([*cv2.split(image), _DETAIL * _detail(image, unfit)])
    level = PatchLevel(planes, hole, unfit)
    while True:
        yield level
        done = depths(level.hole).max() <= _COARSEST and len(level.targets) <= _WORK
        if done or min(level.hole.shape) < 2 * _LEAST_SIDE:
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
    share, taken = (smaller((~flags).astype(np.float32)) for flags in (level.hole, level.unfit))
    known = np.stack([smaller(np.where(level.hole, 0, plane)) for plane in level.planes])
    planes = np.asarray(known / np.maximum(share, 0.5), np.float32)
    return PatchLevel(planes, share < 0.5, taken < 0.5)


def _paint(levels: list[PatchLevel], led: list[PatchGuide | None]) -> Search:
    """Paint all levels from the last, the coarsest, to the first; gives what was found for it."""
    random = default_rng(0)
    search = _coarsest(levels[-1], led[-1], random)
    for number in range(len(levels) - 2, -1, -1):
        search = _finer(search, levels[number], led[number])
        passes = min(_PASSES[min(number, len(_PASSES) - 1)], _WORK // len(search.match))
        _agree(search, partial(_improve, search, _NEAR, random), passes)
    return search


def _coarsest(level: PatchLevel, guide: PatchGuide | None, random: Generator) -> Search:
    """The coarsest level is painted from what is known alone."""
    peel(level, random)
    search = Search(level, np.resize(level.sources, len(level.targets)), guide)
    pairs = len(level.targets) * len(level.sources)
    thorough = min(max(1, _PAIRS // pairs), _PASSES[-1])
    _agree(search, partial(search.exhaust, random), thorough)
    anywhere = max(level.hole.shape) // 2
    _agree(search, partial(_improve, search, anywhere, random), _PASSES[-1] - thorough)
    return search


def _agree(search: Search, improve: Callable[[], None], passes: int) -> None:
    """Improve the matches and paint what they agree on, by turns; the matches have the last one."""
    for turn in range(passes):
        if turn:
            blend(search.level, search.match, search.cost)
            search.compare()
        improve()


def _improve(search: Search, radius: int, random: Generator) -> None:
    search.spread((2, 1))
    search.wander(radius, random)


def _finer(search: Search, fine: PatchLevel, guide: PatchGuide | None) -> Search:
    """The next finer level, painted with what was found for a coarse one."""
    coarse = search.level
    rows, columns = fine.rows_columns(fine.targets)
    height, width = coarse.hole.shape
    at = (rows // 2).clip(0, height - 1) * width + (columns // 2).clip(0, width - 1)
    at = nearest(coarse.number.reshape(height, width) >= 0)[at]
    start = coarse.rows_columns(at)
    end = coarse.rows_columns(search.match[coarse.number[at]])
    rows += 2 * (end[0] - start[0])
    columns += 2 * (end[1] - start[1])
    match = fine.nearest_source(rows, columns)
    blend(fine, match, np.zeros(len(match), np.int32))
    return Search(fine, match, guide)
