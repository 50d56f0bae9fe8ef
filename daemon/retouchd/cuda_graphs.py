"""CUDA graphs of forward passes: a thousand small launches become one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from retouchd.nets.fused_lama import FusedLama

Key = tuple[FusedLama, torch.Size]

MOST = 8
_WORTH_UP_TO = 2 << 20  # pixels; above, computing takes longer than launching
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 1 / 255}


class Graphs:
    """The passes of the input sizes that came last, captured when a size comes again.

    The first result of each graph is compared with what the network gives by itself. After the
    first that differs, or can't be captured, there are no graphs any more: ``trouble`` says why.
    """

    def __init__(self) -> None:
        self.trouble: str | None = None
        self._captured: OrderedDict[Key, _Captured] = OrderedDict()
        self._seen: set[Key] = set()
        self._pool: Any = None

    def run(self, network: FusedLama, x: Tensor) -> Tensor:
        """network(x) on the current stream; the result is the caller's."""
        key = (network, x.shape)
        if self.trouble or x.shape[0] * x.shape[2] * x.shape[3] > _WORTH_UP_TO:
            return network(x)  # type: ignore[no-any-return]
        if key in self._captured:
            self._captured.move_to_end(key)
            return self._captured[key].replay(x)
        if key in self._seen:
            return self._capture(key, x)
        self._seen.add(key)
        return network(x)  # type: ignore[no-any-return]

    def clear(self) -> None:
        """Free the graphs and their memory; nothing may run on the device."""
        self._captured.clear()
        self._seen.clear()
        self._pool = None

    def _capture(self, key: Key, x: Tensor) -> Tensor:
        network = key[0]
        plain: Tensor = network(x)
        try:
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            captured = _Captured(network, x, self._pool)
            worst = (captured.replay(x) - plain).abs().max().item()
        except RuntimeError as error:
            self._give_up(" ".join(str(error).split())[:200])
            return plain
        # Not the other way round: what is not a number is no match either.
        if not worst <= _TOLERANCE[network.dtype]:
            self._give_up(f"a graph's result differed by {worst:.2g}")
            return plain
        if len(self._captured) >= MOST:
            torch.cuda.current_stream().synchronize()
            self._captured.popitem(last=False)
        self._captured[key] = captured
        return plain

    def _give_up(self, reason: str) -> None:
        torch.cuda.synchronize()
        self.trouble = f"off: {reason}"
        self.clear()


class _Captured:
    """One network's pass over inputs of one shape.

    All graphs share one pool of memory. That is safe because they run on one stream, one after
    the other, and each result is copied out before the next begins.
    """

    def __init__(self, network: FusedLama, x: Tensor, pool: Any) -> None:
        self._network = network  # a graph knows only the addresses of the weights
        self._input = x.clone()
        side: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        here = torch.cuda.current_stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            network(self._input)  # plans and workspaces must exist before the capture
        here.wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # Only this thread's calls are part of the capture, or could spoil it.
        with torch.cuda.graph(
            self._graph, pool=pool, stream=side, capture_error_mode="thread_local"
        ):
            self._output: Tensor = network(self._input)
        here.wait_stream(side)

    def replay(self, x: Tensor) -> Tensor:
        self._input.copy_(x)
        self._graph.replay()
        return self._output.clone()
