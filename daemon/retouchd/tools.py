"""What a worker works with: hands for files, an engine for pixels, a bound on memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from retouchd.budget import ByteBudget
from retouchd.engine import Engine
from retouchd.errors import HandDied, ShareHung
from retouchd.hands import Call, Hands
from retouchd.order import Order
from retouchd.shared import SharedArray
from retouchd.tasks.values import Values


@dataclass(frozen=True)
class Tools:
    """Hands, an engine, and a bound on the memory that both fill."""

    hands: Hands
    engine: Engine
    budget: ByteBudget

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
        except ShareHung:
            self._see_who_hangs(order)
            cause = f"it gave no answer within {order.within:g} s"
            raise HandDied(path=path, cause=cause) from None

    def _see_who_hangs(self, order: Order) -> None:
        """Raises ShareHung if it is a share; else it was the photo.

        By writing, because a share that hangs may still answer questions from a cache.
        """
        within = order.within / 10
        for root in order.roots:
            arguments = {"roots": [asdict(root)], "needed": 0}
            self.hands.call(Call("probe", order.lane, root.path, within, arguments))
        if path := order.background:
            self.hands.call(Call("see_background", order.lane, path, within, {"path": path}))
