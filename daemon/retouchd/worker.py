"""Performs one order, from decoding to durable temporary outputs.

A worker sees no ledger and no inbox: an order says everything, in plain values without pixels,
so that the same work could be done on another host that has the same share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from retouchd import cutting, repairing
from retouchd.budget import ByteBudget
from retouchd.engine import Engine
from retouchd.footprint import footprint
from retouchd.hands import Hands
from retouchd.order import Order, Prepared, Product, Stopwatch
from retouchd.tasks.values import Values
from retouchd.tools import Tools


@dataclass(frozen=True)
class _Trade:
    """How one task is done. prepare: the hands' part before the model, and what it is told."""

    prepare: str
    to_prepare: Callable[[Order], Values]
    produce: Callable[[Tools, Order, Prepared, Stopwatch], Product]


_TRADES = {
    "inpaint": _Trade("prepare", repairing.to_prepare, repairing.repair),
    "matte": _Trade("prepare_matte", cutting.to_prepare, cutting.cut_out),
}


class Worker:
    """Hands, an engine, and a bound on the memory that both fill."""

    def __init__(self, hands: Hands, engine: Engine, budget: ByteBudget) -> None:
        self._tools = Tools(hands, engine, budget)

    @contextmanager
    def prepared(self, order: Order, watch: Stopwatch) -> Iterator[Prepared]:
        """Decode an order's originals and make ready what its model needs; frees the memory
        afterwards.

        Raises what the hand raised: a PermanentError for a photo that can't be worked on.
        """
        trade, settings = _trade(order), order.settings
        format = settings["output"]["format"]
        canvas = cutting.canvas_bytes(order) if settings["task"] == "matte" else 0
        need = footprint(order.decoded, order.image.path, format, settings["task"], canvas)
        with self._tools.budget.spend(need, order.lane):
            with watch.stage("decode"):
                facts, arrays = self._tools.call(order, trade.prepare, trade.to_prepare(order))
            try:
                yield Prepared(facts, arrays)
            finally:
                for array in arrays:
                    array.close()

    def produce(self, order: Order, prepared: Prepared, watch: Stopwatch) -> Product:
        """Run the model and write the temporary output.

        Raises OutOfMemory or EngineTrouble from the engine, or what the hand raised.
        """
        return _trade(order).produce(self._tools, order, prepared, watch)


def _trade(order: Order) -> _Trade:
    return _TRADES[order.settings["task"]]
