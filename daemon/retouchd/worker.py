"""Performs one order, from decoding to a durable temporary output.

A worker sees no ledger and no inbox: an order says everything, in plain values without pixels,
so that the same work could be done on another host that has the same share.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from retouchd.budget import ByteBudget
from retouchd.engine import Engine, Request, Result
from retouchd.errors import HandDied, ShareHung
from retouchd.hands import Call, Hands
from retouchd.roots import RootRef
from retouchd.shared import SharedArray, attach, put
from retouchd.tasks.packing import pack, unpack
from retouchd.tasks.values import Original, Values

COPIES = 4
"""Decoded photo, hole, crops and encoding: what a photo takes at its peak, in photos."""


@dataclass(frozen=True)
class Order:
    """One piece of work.

    job: its number, for blame and messages. source: where the hole comes from. output: root and
    hidden name to write to. settings: the lane's, as plain values (see ``config.Lane.work``).
    decoded: estimated bytes of the decoded photo. within: seconds a hand may take.
    """

    job: int
    lane: str
    image: Original
    mask: Original | None
    source: str
    outbox: RootRef
    temporary: str
    model: str
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
        with self._budget.spend(order.decoded * COPIES):
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
        with watch.stage("model"):
            results = [future.result() for future in self._submit(order, prepared)]
        watch.stages["device"] = round(1000 * sum(r.seconds for r in results), 1)
        answers = _pack(results)
        try:
            with watch.stage("encode"):
                photo, hole = prepared.arrays[:2]
                arguments = _to_finish(order, prepared)
                facts, _ = self._call(order, "finish", arguments, [photo, hole, answers])
        finally:
            answers.close()
        notes = {f"{k}: {v}" for r in results for k, v in r.notes.items()}
        return Product(
            facts["sha256"], facts["size"], facts["extension"], (*facts["notes"], *sorted(notes))
        )

    def _submit(self, order: Order, prepared: Prepared) -> list[Future[Result]]:
        sizes = [region["crop"] for region in prepared.facts["regions"]]
        rgbs = unpack(attach(prepared.arrays[2]), sizes, 3)
        masks = unpack(attach(prepared.arrays[3]), sizes, 1)
        return [
            self._engine.submit(Request(order.model, rgb, mask, order.settings, order.job))
            for rgb, mask in zip(rgbs, masks, strict=True)
        ]

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


def _pack(results: Sequence[Result]) -> SharedArray:
    return put(pack([result.image for result in results], np.float32))


def _to_prepare(order: Order) -> Values:
    settings = order.settings
    return {
        "image": order.image.to_wire(),
        "mask": order.mask.to_wire() if order.mask else None,
        "source": order.source,
        "rectangles": settings["rectangles"] if order.source == "rectangles" else [],
        "mask_settings": settings["mask"],
        "strategy": settings["strategy"],
        "max_pixels": settings["max_pixels"],
        "max_bytes": settings["max_bytes"],
    }


def _to_finish(order: Order, prepared: Prepared) -> Values:
    output = order.settings["output"]
    untouched = not prepared.facts["regions"]
    as_it_is = output["format"] == "same" and not output["strip_metadata"]
    return {
        "regions": prepared.facts["regions"],
        "metadata": prepared.facts["metadata"],
        "blend": order.settings["blend"],
        "opaque": order.source == "alpha",
        # A wider feather would leave a trace of what was marked.
        "feather": min(order.settings["mask"]["feather"], order.settings["mask"]["dilate"]),
        "output": output,
        "root": asdict(order.outbox),
        "temporary": order.temporary,
        "name": order.image.path,
        "verbatim": order.image.to_wire() if untouched and as_it_is else None,
    }
