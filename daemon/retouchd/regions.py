"""Pure: which crops of a photo the model has to see, so that its cost grows with the hole.

Every pixel of the hole lies in the core of exactly one region. A crop may show holes of other
regions: ``blend.cut`` masks them, so that they are never taken for content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.box import Box
from retouchd.clusters import Clusters, Frame, PlanSettings, clusters, measured
from retouchd.pyramid import depth
from retouchd.tiles import margin

__all__ = ["DEFAULTS", "Box", "PlanSettings", "Region", "Strategy", "Way", "plan"]

Strategy = Literal["auto", "whole", "crop", "tile", "resize"]

Way = Literal["direct", "reduced", "tiles", "pyramid"]
"""How a region is solved: at once; at once at reduced resolution; in overlapping tiles; in
overlapping tiles at one level of a pyramid after the other, coarse to fine."""

DEFAULTS = PlanSettings()

_LARGE: Mapping[Strategy, Way] = {
    "auto": "pyramid",
    "crop": "direct",
    "tile": "tiles",
    "resize": "reduced",
}
"""How a crop over the largest bucket is solved."""


@dataclass(frozen=True, order=True)
class Region:
    """One crop to be solved.

    box: the crop with its context. core: the part of it whose hole pixels are this region's.
    scale: of its result; less than 1.0 where the crop is solved at reduced resolution only.
    """

    box: Box
    scale: float
    core: Box
    way: Way = "direct"

    @property
    def at_once(self) -> bool:
        """Whether the crop is one request to the engine."""
        return self.way in ("direct", "reduced")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the result."""
        height, width = (max(1, round(s * self.scale)) for s in (self.box.height, self.box.width))
        return height, width

    @property
    def cost(self) -> int:
        """Pixels of the result; where it is made at once, the model works on as many."""
        return self.size[0] * self.size[1]


def plan(
    hole: NDArray[np.uint8], strategy: Strategy = "auto", settings: PlanSettings = DEFAULTS
) -> tuple[Region, ...]:
    """The regions that repair a hole [H, W] uint8 0/255 (already grown); none for an empty one.

    whole: the full photo at once. All others: crops around the holes; those over the largest
    bucket are solved coarse to fine (auto), at once all the same (crop), in tiles at
    full resolution (tile), or at reduced resolution and enlarged (resize). Thin holes that run
    over more than a bucket, and fields of specks, are cut where the cut crosses the least of
    them.

    Raises ValueError for another strategy.
    """
    if strategy not in get_args(Strategy):
        raise ValueError(f"{strategy!r} is not one of {', '.join(get_args(Strategy))}")
    left, top, width, height = cv2.boundingRect(hole)
    if not width:
        return ()
    photo = (hole.shape[0], hole.shape[1])
    whole = Region(Box(0, 0, *photo), 1.0, Box(top, left, height, width))
    if strategy == "whole":
        return (whole,)
    frame = Frame(photo, settings)
    groups = _split(hole, clusters(hole, frame), frame)
    regions = tuple(sorted(_regions(groups, strategy, frame)))
    # a little over the largest bucket, one full look is better than two that overlap
    small = whole.cost <= 1.5 * settings.largest**2
    in_parts = not all(region.at_once for region in regions)
    dear = in_parts or sum(region.cost for region in regions) >= whole.cost
    return (whole,) if small and dear else regions


def _split(hole: NDArray[np.uint8], groups: Clusters, frame: Frame) -> Clusters:
    """Groups over the largest bucket, cut into pieces that are not, where a cut does no harm."""
    fits = frame.fits(groups)
    parts = [Clusters(groups.boxes[fits], groups.context[fits])]
    for top, left, bottom, right in groups.boxes[~fits].tolist():
        parts.extend(_pieces(hole, Box(top, left, bottom - top, right - left), frame))
    return Clusters(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.context for part in parts]),
    )


def _pieces(hole: NDArray[np.uint8], around: Box, frame: Frame) -> Iterator[Clusters]:
    core = _tight(hole, around)
    if core is None:
        return
    room = frame.settings.largest - 2 * frame.settings.least_context
    if max(core.height, core.width) <= room:
        piece = _piece(hole, core, frame)
        if frame.fits(piece).all():
            yield piece
            return
    parts = _cut(hole, core, frame)
    if len(parts) == 1:
        yield _piece(hole, core, frame)
        return
    for part in parts:
        yield from _pieces(hole, part, frame)


def _piece(hole: NDArray[np.uint8], core: Box, frame: Frame) -> Clusters:
    found = measured(hole[core.slices], frame.settings)
    whole = np.array([[core.top, core.left, core.top + core.height, core.left + core.width]])
    return Clusters(whole, found.context.max(keepdims=True))


def _tight(hole: NDArray[np.uint8], box: Box) -> Box | None:
    left, top, width, height = cv2.boundingRect(hole[box.slices])
    return Box(box.top + top, box.left + left, height, width) if width else None


def _cut(hole: NDArray[np.uint8], core: Box, frame: Frame) -> list[Box]:
    """The core cut across its longer side, else across its shorter one, else in one piece."""
    part = hole[core.slices]
    for lines, tall in sorted([(core.height, True), (core.width, False)], reverse=True):
        edges = [0, *_cuts(part if tall else part.T, frame.settings), lines]
        if len(edges) > 2 and tall:
            return [Box(core.top + a, core.left, b - a, core.width) for a, b in pairwise(edges)]
        if len(edges) > 2:
            return [Box(core.top, core.left + a, core.height, b - a) for a, b in pairwise(edges)]
    return [core]


def _cuts(part: NDArray[np.uint8], settings: PlanSettings) -> list[int]:
    """Rows to cut before, near even spacing, that cross the least of the hole and no thick one."""
    rows = part.shape[0]
    room = max(settings.largest - 2 * settings.least_context, 4)
    count = max(2, ceil(rows / (0.95 * room)))
    spread = max(min(room - rows // count, rows // (2 * count)) // 2, 1)
    filled = np.count_nonzero(part, axis=1)
    # the longer the part, the blurrier it would be in one piece, and the better a seam is
    allowed = min(settings.thin * rows // settings.largest, settings.largest // 4)
    cuts = []
    for i in range(1, count):
        even = rows * i // count
        near = np.arange(max(even - spread, 1), min(even + spread, rows - 1) + 1)
        crossed = np.minimum(filled[near - 1], filled[near])
        for row in near[np.lexsort((abs(near - even), crossed))][:1].tolist():
            if _longest_run((part[row - 1] & part[row]) > 0) <= allowed:
                cuts.append(row)
    return cuts


def _longest_run(line: NDArray[np.bool_]) -> int:
    ends = np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))
    return int(np.max(ends[1::2] - ends[::2], initial=0))


def _regions(groups: Clusters, strategy: Strategy, frame: Frame) -> Iterator[Region]:
    for core, sides in zip(groups.boxes.tolist(), frame.sides(groups).tolist(), strict=True):
        top, left, bottom, right = core
        box = Box(top, left, bottom - top, right - left)
        yield _region(box, (sides[0], sides[1]), strategy, frame)


def _region(core: Box, sides: tuple[int, int], strategy: Strategy, frame: Frame) -> Region:
    largest = frame.settings.largest
    way = _LARGE[strategy] if max(sides) > largest else "direct"
    scale = largest / max(sides) if way == "reduced" else 1.0
    if way == "reduced":
        sides = _fitting(sides, scale, frame)
    elif way == "pyramid":
        sides = _fitting(sides, 0.5 ** depth(sides, largest), frame)
    elif way == "tiles":
        wide = 2 * margin(largest)
        sides = min(core.height + wide, frame.photo[0]), min(core.width + wide, frame.photo[1])
    top = _placed(core.top, core.height, sides[0], frame.photo[0])
    left = _placed(core.left, core.width, sides[1], frame.photo[1])
    return Region(Box(top, left, *sides), scale, core, way)


def _fitting(sides: tuple[int, int], scale: float, frame: Frame) -> tuple[int, int]:
    """The sides of a crop, grown so that at this scale they are buckets, where the photo allows."""
    reduced = frame.snap(np.ceil(np.asarray(sides) * scale).astype(np.int64))
    grown = np.minimum(np.floor(reduced / scale), frame.photo).astype(np.int64)
    return max(sides[0], int(grown[0])), max(sides[1], int(grown[1]))


def _placed(start: int, length: int, side: int, limit: int) -> int:
    """Where a side begins that is centred on a core and pushed into the photo."""
    return min(max(start - (side - length) // 2, 0), limit - side)
