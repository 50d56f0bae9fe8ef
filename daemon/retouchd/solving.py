"""Solves one region that is too large for one look, tile by tile, through an engine.

Level 0 is the photo itself; each further level has half the size. A pyramid begins with one look
at the coarsest level; the answer, enlarged, is what the tiles of the next finer level see of the
hole beyond their own reach, and the structure that their answers are merged with. Without a
pyramid there is only level 0, and what no tile has made up yet is masked.

Every answer is kept as integer samples like the photo's: as floats a hole would take four times
the memory of the photo around it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retouchd.box import Box
from retouchd.clusters import PlanSettings
from retouchd.drift import match_colour
from retouchd.engine import Engine, Pixels, Request, Result
from retouchd.pyramid import (
    depth,
    doubled,
    halved,
    halved_hole,
    halved_size,
    merge,
    to_samples,
    trusted,
)
from retouchd.regions import Region
from retouchd.samples import to_unit
from retouchd.tiles import MOST_IN_A_WAVE, Layout, Tile, layout

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]
Crop = tuple[Pixels, Grey]

_MARGIN = 4  # px of the coarser level around a part that is enlarged, for the filter's sake
_NEAR = 17  # px around what a tile makes up that merging looks at; odd, so one may be left out


class Asking:
    """Puts one job's crops to the engine and adds up what that took.

    Leaving its context withdraws whatever was asked and not answered, because an error came first.
    """

    def __init__(self, engine: Engine, model: str, settings: Mapping[str, Any], job: int) -> None:
        self._engine, self._model, self._settings, self._job = engine, model, settings, job
        self._open: set[Future[Result]] = set()
        self.seconds = 0.0
        self.notes: set[str] = set()
        self.answered = 0

    def __enter__(self) -> Asking:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for future in self._open:
            future.cancel()

    def ask(self, crop: Crop) -> Future[Result]:
        """Queue one crop: RGB [h, w, 3] and mask [h, w]."""
        future = self._engine.submit(Request(self._model, *crop, self._settings, self._job))
        self._open.add(future)
        return future

    def answer(self, future: Future[Result]) -> Floats:
        """Wait for an answer: [h, w, 3]; raises what the engine has to say instead."""
        result = future.result()
        self._open.discard(future)
        self.answered += 1
        self.seconds += result.seconds
        self.notes |= {f"{key}: {value}" for key, value in result.notes.items()}
        return result.image


@dataclass(eq=False)
class _Level:
    """A region's crop at one size.

    image: [h, w, 1 or 3], hole: [h, w] with other regions' holes. made: [core h, core w, 3], what
    is made up so far. shown: [core h, core w], 255 where tiles may see that.
    """

    image: NDArray[Any]
    hole: Grey
    core: Box
    made: Pixels = field(init=False)
    shown: Grey = field(init=False)

    def __post_init__(self) -> None:
        size = (self.core.height, self.core.width)
        self.made = np.zeros((*size, 3), self.image.dtype)
        self.shown = np.zeros(size, np.uint8)

    @property
    def whole(self) -> Box:
        """All of it."""
        return Box(0, 0, *self.hole.shape)

    def picture(self, box: Box) -> Pixels:
        """A part as it is by now: RGB [h, w, 3]; undefined where nothing is made up."""
        rgb = np.empty((box.height, box.width, 3), self.image.dtype)
        rgb[...] = self.image[box.slices]
        inner = box.common(self.core)
        made = self.made[inner.seen_from(self.core).slices]
        fresh = (self.hole[inner.slices] > 0)[..., None]
        np.copyto(rgb[inner.seen_from(box).slices], made, where=fresh)
        return rgb

    def crop(self, box: Box, reach: Box) -> Crop:
        """What the engine gets to see of a part, to make up what lies in ``reach``."""
        mask = self.hole[box.slices].copy()
        inner = box.common(self.core)
        seen = self.shown[inner.seen_from(self.core).slices] > 0
        mask[inner.seen_from(box).slices][seen] = 0
        mask[reach.seen_from(box).slices] = self.hole[reach.slices]
        return self.picture(box), mask

    def blend(self, reach: Box, fresh: Floats, weights: Floats) -> None:
        """Fade [h, w, 3] in [0, 1] into what is made up."""
        inside = self.hole[reach.slices] > 0
        part = self.made[reach.seen_from(self.core).slices]
        old = to_unit(part[inside])
        mixed = old + weights[inside][:, None] * (fresh[inside] - old)
        part[inside] = to_samples(mixed, part.dtype)
        self.shown[reach.seen_from(self.core).slices] = 255

    def coarser(self) -> _Level:
        """The next level."""
        (bottom, right), (top, left) = self.core.end, (self.core.top // 2, self.core.left // 2)
        core = Box(top, left, -(-bottom // 2) - top, -(-right // 2) - left)
        return _Level(halved(self.image), halved_hole(self.hole), core)

    def enlarged(self, box: Box, dtype: np.dtype[Any]) -> NDArray[Any]:
        """A part of the next finer level [h, w, 3], in float32 or as it is."""
        size = halved_size((box.height + 1, box.width + 1))
        part = Box(box.top // 2, box.left // 2, *size).grown(_MARGIN, self.whole)
        picture = self.picture(part)
        source = to_unit(picture) if dtype == np.float32 else picture
        place = box.seen_from(Box(2 * part.top, 2 * part.left, 0, 0))
        return doubled(source, (2 * part.height, 2 * part.width))[place.slices]


@dataclass(frozen=True, eq=False)
class Solved:
    """A region's answer.

    region: as it is to be pasted, with no more context than that needs. image: [h, w, 3] of
    ``region.size``, of the photo's type; known pixels are the photo's. note: how it was solved.
    """

    region: Region
    image: Pixels
    note: str


def pasted(region: Region, settings: PlanSettings) -> Region:
    """A region without the context that only its solving needs."""
    if region.at_once:
        return region
    return replace(region, box=region.core.grown(settings.least_context, region.box))


def solving_bytes(region: Region, settings: PlanSettings, itemsize: int) -> int:
    """What solving a region takes in memory, to its float32 answer; see ``blend.request_bytes``.

    itemsize: bytes of one of the photo's samples.
    """
    sample, answer = 3 * itemsize + 1, 3 * 4
    if region.at_once:
        return region.cost * (sample + answer)
    levels = region.cost // 3 if region.way == "pyramid" else 0
    made = 2 * region.core.height * region.core.width
    in_flight = min(MOST_IN_A_WAVE * settings.largest**2, 4 * region.cost)
    final = pasted(region, settings).cost
    return (levels + made) * sample + in_flight * (sample + answer) + final * answer


def solve(
    photo: Pixels,
    hole: Grey,
    region: Region,
    asking: Asking,
    settings: PlanSettings,
    *,
    keep_colours: bool = True,
) -> Solved:
    """Solve a region of way ``tiles`` or ``pyramid``.

    photo: [H, W, C], hole: [H, W] 0/255, as for ``blend.cut``; both are only read. keep_colours:
    whether the model's colour drift is taken out of every tile. Raises what the engine raises.
    """
    solver = _Solver(asking, settings, keep_colours)
    colours = photo[region.box.slices][..., : 1 if photo.shape[2] < 3 else 3]
    finest = _Level(colours, hole[region.box.slices], region.core.seen_from(region.box))
    halvings = 0
    if region.way == "pyramid":
        halvings = depth((region.box.height, region.box.width), settings.largest)
    before = asking.answered
    if halvings:
        solver.coarse_to_fine(finest, halvings)
    else:
        solver.in_tiles(finest, None)
    final = pasted(region, settings)
    asked = asking.answered - before
    how = f"coarse to fine in {halvings + 1} levels, " if halvings else "in "
    image = finest.picture(final.box.seen_from(region.box))
    return Solved(final, image, f"{how}{asked} {'tile' if asked == 1 else 'tiles'}")


@dataclass(frozen=True, eq=False)
class _Solver:
    asking: Asking
    settings: PlanSettings
    keep_colours: bool

    def coarse_to_fine(self, level: _Level, halvings: int) -> None:
        """Solve a level after all that are coarser."""
        coarse = level.coarser()
        if halvings > 1:
            self.coarse_to_fine(coarse, halvings - 1)
        else:
            self._at_once(coarse)
        level.made[...] = coarse.enlarged(level.core, level.made.dtype)
        level.shown[...] = 255
        self.in_tiles(level, coarse)

    def _at_once(self, level: _Level) -> None:
        crop = level.crop(level.whole, level.core)
        for answer in self._answers([crop]):
            fresh = answer[level.core.slices]
            level.blend(level.core, fresh, np.ones(fresh.shape[:2], np.float32))

    def in_tiles(self, level: _Level, coarse: _Level | None) -> None:
        """Solve a level wave by wave, with the next coarser one as a guide, if there is one."""
        plan = layout(level.hole, level.core, self.settings)
        for wave in plan.waves:
            crops = [level.crop(tile.crop, tile.reach) for tile in wave]
            for tile, answer in zip(wave, self._answers(crops), strict=True):
                self._blend(level, coarse, plan, tile, answer)

    def _answers(self, crops: Sequence[Crop]) -> Iterator[Floats]:
        """The engine's answers in [0, 1], known pixels as they were; asked for all at once."""
        futures = deque([self.asking.ask(crop) for crop in crops])
        for image, mask in crops:
            answer = self.asking.answer(futures.popleft())
            if self.keep_colours:
                answer = match_colour(image, mask, answer)
            yield np.where(mask[..., None] > 0, answer, to_unit(image))

    def _blend(
        self, level: _Level, coarse: _Level | None, plan: Layout, tile: Tile, answer: Floats
    ) -> None:
        place = _even(tile) if coarse is not None else tile.reach
        fresh = answer[place.seen_from(tile.crop).slices]
        if coarse is not None:
            guide = coarse.enlarged(place, np.dtype(np.float32))
            fresh = merge(guide, fresh, trusted(level.hole[place.slices]))
        level.blend(tile.reach, fresh[tile.reach.seen_from(place).slices], plan.weights(tile))


def _even(tile: Tile) -> Box:
    """The part of a tile that merging has to look at; it begins where a coarser pixel does."""
    near = tile.reach.grown(_NEAR, tile.crop)
    odd = near.top % 2, near.left % 2
    return Box(near.top + odd[0], near.left + odd[1], near.height - odd[0], near.width - odd[1])
