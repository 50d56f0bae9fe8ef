"""Cutting out: a matting network's alpha of a photo, made into a cut-out by the hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from retouchd.order import Order, Prepared, Product, Stopwatch, Written
from retouchd.shared import SharedArray, allocate, attach
from retouchd.solving import Asking
from retouchd.tasks.values import Values
from retouchd.tools import Tools


def to_prepare(order: Order) -> Values:
    """What the hands are told before the model."""
    settings = order.settings
    asks = order.mask is None and order.model.fit is not None
    return {
        "image": order.image.to_wire(),
        "mask": order.mask.to_wire() if order.mask else None,
        "name": order.name or order.image.path,
        "mask_settings": settings["mask"],
        "fit": asdict(order.model.fit) if asks and order.model.fit else None,
        "background": order.background,
        "max_pixels": settings["max_pixels"],
        "max_bytes": settings["max_bytes"],
    }


def canvas_bytes(order: Order) -> int:
    """About what the pixels of a cut-out take on its canvas, in 8 bits; 0 if it keeps its frame."""
    matte = order.settings["matte"]
    if matte["size"]:
        width, height = matte["size"]
        return int(4 * width * height)
    around = 1 + 2 * float(matte["margin"])
    return 0 if matte["crop"] == "none" else int(order.decoded * around**2)


def cut_out(tools: Tools, order: Order, prepared: Prepared, watch: Stopwatch) -> Product:
    """Ask the network for the alpha, where one is asked, and write the temporary outputs."""
    photo, *rest = prepared.arrays
    if prepared.facts["placement"] is None:
        return _finish(tools, order, prepared, watch, [photo, *rest])
    with watch.stage("model"):
        alpha, asking = _alpha(tools, order, rest)
    watch.stages["device"] = round(1000 * asking.seconds, 1)
    try:
        product = _finish(tools, order, prepared, watch, [photo, alpha, rest[0]])
    finally:
        alpha.close()
    return replace(product, notes=(*product.notes, *sorted(asking.notes)))


def _finish(
    tools: Tools,
    order: Order,
    prepared: Prepared,
    watch: Stopwatch,
    arrays: Sequence[SharedArray],
) -> Product:
    with watch.stage("encode"):
        facts, _ = tools.call(order, "finish_matte", _to_finish(order, prepared), arrays)
    output, *companions = (Written(**one) for one in facts["written"])
    return Product(output, tuple(companions), facts["role"], tuple(facts["notes"]))


def _alpha(tools: Tools, order: Order, picture: list[SharedArray]) -> tuple[SharedArray, Asking]:
    """The network's alpha [H, W] of its picture, in shared memory."""
    pixels, shown = (attach(array) for array in picture)
    with Asking(tools.engine, order.model.name, order.settings, order.job) as asking:
        answer = asking.answer(asking.ask((pixels, shown)))
    shared, alpha = allocate(shown.shape, "float32")
    alpha[...] = np.asarray(answer)[..., 0]
    return shared, asking


def _to_finish(order: Order, prepared: Prepared) -> Values:
    settings = order.settings
    return {
        "matte": settings["matte"],
        "output": settings["output"],
        "placement": prepared.facts["placement"],
        "second_opinion": order.model.second_opinion,
        "masked": order.mask is not None,
        "mask_settings": settings["mask"],
        "metadata": prepared.facts["metadata"],
        "outbox": asdict(order.outbox),
        "review": asdict(order.review) if order.review else None,
        "temporary": order.temporary,
        "name": order.name or order.image.path,
        "inbox": order.inbox,
        "max_pixels": settings["max_pixels"],
    }
