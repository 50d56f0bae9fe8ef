"""Performs one order, from decoding to a durable temporary output.

A worker sees no ledger and no inbox: an order says everything, in plain values without pixels,
so that the same work could be done on another host that has the same share.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from retouchd.box import Box
from retouchd.budget import ByteBudget
from retouchd.engine import Engine, Pixels
from retouchd.errors import HandDied, ShareHung, Unexpected
from retouchd.footprint import footprint
from retouchd.hands import Call, Hands
from retouchd.regions import DEFAULTS, PlanSettings, Region
from retouchd.roots import RootRef
from retouchd.shared import SharedArray, allocate, attach
from retouchd.solving import Asking, Crop, Floats, pasted, solve, solving_bytes
from retouchd.tasks.packing import unpack
from retouchd.tasks.values import Original, Values, region_of


@dataclass(frozen=True)
class Model:
    """A lane's model: its name, the sha256 of its weights, the largest side that it is shown."""

    name: str
    sha256: str
    largest: int = DEFAULTS.largest

    @property
    def planning(self) -> PlanSettings:
        """How regions are planned for it."""
        return DEFAULTS.within(self.largest)


@dataclass(frozen=True)
class Order:
    """One piece of work.

    job: its number, for blame and messages. source: where the hole comes from. output: root and
    hidden name to write to. settings: the lane's, as plain values (see ``config.Lane.work``).
    decoded: estimated bytes of the decoded photo and its mask. within: seconds a hand may take.
    """

    job: int
    lane: str
    image: Original
    mask: Original | None
    source: str
    outbox: RootRef
    temporary: str
    model: Model
    settings: Mapping[str, Any]
    decoded: int
    within: float


@dataclass
class Prepared:
    """The photo in shared memory, ready for the model."""

    facts: Values
    arrays: Sequence[SharedArray]

    @property
    def sha256(self) -> Mapping[str, str | None]:
        """Content hashes of image and mask."""
        hashes: Mapping[str, str | None] = self.facts["sha256"]
        return hashes


@dataclass(frozen=True)
class Product:
    """A durable temporary output: content hash, bytes, extension, notes."""

    sha256: str
    size: int
    extension: str
    notes: tuple[str, ...]


@dataclass
class Stopwatch:
    """Milliseconds per stage."""

    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = (time.perf_counter() - began) * 1000
            self.stages[name] = round(self.stages.get(name, 0.0) + took, 1)


class Worker:
    """Hands, an engine, and a bound on the memory that both fill."""

    def __init__(self, hands: Hands, engine: Engine, budget: ByteBudget) -> None:
        self._hands, self._engine, self._budget = hands, engine, budget

    @contextmanager
    def prepared(self, order: Order, watch: Stopwatch) -> Iterator[Prepared]:
        """Decode an order's originals and plan its regions; frees the memory afterwards.

        Raises what the hand raised: a PermanentError for a photo that can't be worked on.
        """
        format = order.settings["output"]["format"]
        with self._budget.spend(footprint(order.decoded, order.image.path, format)):
            with watch.stage("decode"):
                facts, arrays = self._call(order, "prepare", _to_prepare(order))
            try:
                yield Prepared(facts, arrays)
            finally:
                for array in arrays:
                    array.close()

    def repair(self, order: Order, prepared: Prepared, watch: Stopwatch) -> Product:
        """Run the model over the regions and write the temporary output.

        Raises OutOfMemory or EngineTrouble from the engine, or what the hand raised.
        """
        settings = order.model.planning
        photo, hole = prepared.arrays[:2]
        regions = _regions(prepared)
        itemsize = np.dtype(photo.dtype).itemsize
        need = sum(solving_bytes(region, settings, itemsize) for region in regions)
        finals = [pasted(region, settings) for region in regions]
        with self._budget.raised(need):
            answers, flat = allocate((3 * sum(final.cost for final in finals),), "float32")
            try:
                with watch.stage("model"):
                    asking = self._solve(order, prepared, regions, _parts(flat, finals))
                watch.stages["device"] = round(1000 * asking.seconds, 1)
                with watch.stage("encode"):
                    arguments = _to_finish(order, prepared, finals)
                    facts, _ = self._call(order, "finish", arguments, [photo, hole, answers])
            finally:
                answers.close()
        notes = (*facts["notes"], *sorted(asking.notes))
        return Product(facts["sha256"], facts["size"], facts["extension"], notes)

    def _solve(
        self, order: Order, prepared: Prepared, regions: list[Region], answers: list[Floats]
    ) -> Asking:
        """Put the model's answer for each region into its place among the answers."""
        settings = order.model.planning
        colour = _match(order)["colour"] and order.settings["blend"] != "hard"
        photo, hole, *packed = (attach(array) for array in prepared.arrays)
        with Asking(self._engine, order.model.name, order.settings, order.job) as asking:
            crops = _crops(packed, regions)
            asked = [asking.ask(next(crops)) if r.at_once else None for r in regions]
            for region, future, answer in zip(regions, asked, answers, strict=True):
                if future is None:
                    one = solve(photo, hole, region, asking, settings, keep_colours=colour)
                    np.divide(one.image, np.float32(np.iinfo(photo.dtype).max), out=answer)
                    asking.notes.add(one.note)
            for future, answer in zip(asked, answers, strict=True):
                if future is not None:
                    answer[...] = asking.answer(future)
        return asking

    def _call(
        self,
        order: Order,
        task: str,
        arguments: Values,
        arrays: Sequence[SharedArray] = (),
    ) -> tuple[Values, list[SharedArray]]:
        path = order.image.path
        call = Call(task, order.lane, path, order.within, arguments, arrays, long=True)
        try:
            return self._hands.call(call)
        except ShareHung:
            self._see_who_hangs(order)
            cause = f"it gave no answer within {order.within:g} s"
            raise HandDied(path=path, cause=cause) from None

    def _see_who_hangs(self, order: Order) -> None:
        """Raises ShareHung if it is a share; else it was the photo.

        By writing, because a share that hangs may still answer questions from a cache.
        """
        for root in (order.image.root, order.outbox):
            arguments = {"roots": [asdict(root)], "needed": 0}
            self._hands.call(Call("probe", order.lane, root.path, order.within / 10, arguments))


def _regions(prepared: Prepared) -> list[Region]:
    """The plan, which comes from a process that worked on a file that may be hostile."""
    regions = [region_of(region) for region in prepared.facts["regions"]]
    height, width = prepared.arrays[1].shape
    photo = Box(0, 0, height, width)
    for region in regions:
        if region.box.common(photo) != region.box or region.core.common(region.box) != region.core:
            raise Unexpected(cause="a worker process planned a region outside the photo")
    return regions


def _crops(packed: Sequence[Pixels], regions: Sequence[Region]) -> Iterator[Crop]:
    """RGB and mask of each region that is solved at once."""
    sizes = [region.size for region in regions if region.at_once]
    return zip(unpack(packed[0], sizes, 3), unpack(packed[1], sizes, 1), strict=True)


def _parts(flat: Floats, regions: Sequence[Region]) -> list[Floats]:
    return list(unpack(flat, [region.size for region in regions], 3))


def _match(order: Order) -> Mapping[str, bool]:
    """What is fitted; a job from before there was a choice is done as it would have been then."""
    match: Mapping[str, bool] = order.settings.get("match", {"colour": False, "grain": False})
    return match


def _to_prepare(order: Order) -> Values:
    settings = order.settings
    return {
        "image": order.image.to_wire(),
        "mask": order.mask.to_wire() if order.mask else None,
        "source": order.source,
        "rectangles": settings["rectangles"] if order.source == "rectangles" else [],
        "mask_settings": settings["mask"],
        "strategy": settings["strategy"],
        "largest": order.model.largest,
        "max_pixels": settings["max_pixels"],
        "max_bytes": settings["max_bytes"],
    }


def _to_finish(order: Order, prepared: Prepared, regions: Sequence[Region]) -> Values:
    output = order.settings["output"]
    untouched = not regions
    as_it_is = output["format"] == "same" and not output["strip_metadata"]
    return {
        "regions": [{**asdict(region), "crop": list(region.size)} for region in regions],
        "metadata": prepared.facts["metadata"],
        "blend": order.settings["blend"],
        "match": _match(order),
        "opaque": order.source == "alpha",
        # A wider feather would leave a trace of what was marked.
        "feather": min(order.settings["mask"]["feather"], order.settings["mask"]["dilate"]),
        "output": output,
        "root": asdict(order.outbox),
        "temporary": order.temporary,
        "name": order.image.path,
        "verbatim": order.image.to_wire() if untouched and as_it_is else None,
    }
