"""What a worker works with: hands for files, an engine for pixels, a bound on memory."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from retouchd.budget import ByteBudget
from retouchd.call import Call
from retouchd.engine import Engine
from retouchd.errors import HandDied, ShareHung
from retouchd.hands import Hands
from retouchd.order import Order
from retouchd.shared import SharedArray
from retouchd.tasks.values import Values


@dataclass(frozen=True)
class Tools:
    """Hands, an engine, and a bound on the memory that both fill."""

    hands: Hands
    engine: Engine
    budget: ByteBudget
    _looking: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def call(
        self,
        order: Order,
        task: str,
        arguments: Values,
        arrays: Sequence[SharedArray] = (),
    ) -> tuple[Values, list[SharedArray]]:
        """Have a hand do a part of an order; raises what the hand raised.

        Silence is held against the photo, unless it is a share that hangs (ShareHung).
        """
        path = order.image.path
        call = Call(task, order.lane, path, order.within, arguments, arrays, long=True)
        try:
            return self.hands.call(call)
        except ShareHung as error:
            # One after the other: where the first look hangs, the others need not.
            with self._looking[order.lane]:
                self._see_who_hangs(order)
            if not error.facts.get("asked", True):
                return self.hands.call(call)
            cause = f"it gave no answer within {order.within:g} s"
            raise HandDied(path=path, cause=cause) from None

    def _see_who_hangs(self, order: Order) -> None:
        """Raises ShareHung if it is a share; else it was the photo.

        By writing, because a share that hangs may still answer questions from a cache.
        """
        for root in order.roots:
            arguments = {"roots": [asdict(root)], "needed": 0}
            self._look("probe", order, root.path, arguments)
        if path := order.background:
            self._look("see_background", order, path, {"path": path})

    def _look(self, task: str, order: Order, path: str, arguments: Values) -> None:
        self.hands.call(Call(task, order.lane, path, order.within / 10, arguments, looks=True))
