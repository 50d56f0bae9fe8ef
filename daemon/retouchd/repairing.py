"""Repairing: the model's answers for a photo's regions, put into it by the hands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from retouchd.box import Box
from retouchd.engine import Engine, Pixels
from retouchd.errors import Unexpected
from retouchd.order import Order, Prepared, Product, Stopwatch, Written
from retouchd.regions import Region
from retouchd.shared import allocate, attach
from retouchd.solving import Asking, Crop, Floats, pasted, solve, solving_bytes
from retouchd.tasks.packing import unpack
from retouchd.tasks.values import Values, region_of
from retouchd.tools import Tools


def repair(tools: Tools, order: Order, prepared: Prepared, watch: Stopwatch) -> Product:
    """Run the model over the regions and write the temporary output."""
    settings = order.model.planning
    photo, hole = prepared.arrays[:2]
    regions = _regions(prepared)
    itemsize = np.dtype(photo.dtype).itemsize
    need = sum(solving_bytes(region, settings, itemsize) for region in regions)
    finals = [pasted(region, settings) for region in regions]
    with tools.budget.raised(need):
        answers, flat = allocate((3 * sum(final.cost for final in finals),), "float32")
        try:
            with watch.stage("model"):
                asking = _solve(tools.engine, order, prepared, regions, _parts(flat, finals))
            watch.stages["device"] = round(1000 * asking.seconds, 1)
            with watch.stage("encode"):
                arguments = _to_finish(order, prepared, finals)
                facts, _ = tools.call(order, "finish", arguments, [photo, hole, answers])
        finally:
            answers.close()
    output = Written(facts["sha256"], facts["size"], facts["extension"])
    return Product(output, notes=(*facts["notes"], *sorted(asking.notes)))


def _solve(
    engine: Engine,
    order: Order,
    prepared: Prepared,
    regions: list[Region],
    answers: list[Floats],
) -> Asking:
    """Put the model's answer for each region into its place among the answers."""
    settings = order.model.planning
    colour = _match(order)["colour"] and order.settings["blend"] != "hard"
    photo, hole, *packed = (attach(array) for array in prepared.arrays)
    with Asking(engine, order.model.name, order.settings, order.job) as asking:
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


def to_prepare(order: Order) -> Values:
    """What the hands are told before the model."""
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
