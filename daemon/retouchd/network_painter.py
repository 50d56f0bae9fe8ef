"""A resident network of torch: its precisions, its device, what to do when memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from retouchd.device import Place, one_thread
from retouchd.errors import ModelUnusable
from retouchd.painter import Beat, Finish, Size
from retouchd.precision import Clock, Comparison, Precision, compare
from retouchd.room import Room
from retouchd.samples import Region, Unit
from retouchd.shortage import shortage_told

_MEMORY_TROUBLE = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",  # cuBLAS, cuDNN and cuFFT each have their own words
)

Doubt = Callable[[Unit, Region], str | None]


class Networks(Protocol):
    """One network's weights on one device, in float32 and in bfloat16."""

    beat: Beat

    @property
    def device(self) -> torch.device:
        """Where they lie."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What to note with a result, if anything is out of the ordinary."""

    @property
    def ahead(self) -> bool:
        """See ``Painter``."""

    @property
    def on_cpu(self) -> Networks:
        """The same on the CPU, loaded once."""

    def ready(self, precision: Precision) -> None:
        """Load the network in that precision; raises RuntimeError where it does not work."""

    def start(self, precision: Precision, regions: Sequence[Region]) -> Finish:
        """See ``Painter.start``; raises whatever torch raises."""

    def keep(self, precision: Precision) -> None:
        """It alone is likely to be wanted."""

    def relieve(self) -> None:
        """See ``Painter``."""

    def close(self) -> None:
        """Drop all of them, on the device and on the CPU."""


class NetworkPainter:
    """A network on one device in one precision; the painters of both share the networks.

    batch: the most regions at once, if memory allows. doubt: see ``Painter.doubt``.
    """

    def __init__(
        self, networks: Networks, batch: int, doubt: Doubt, comparison: Comparison | None = None
    ) -> None:
        self._networks = networks
        self._batch = batch
        self._doubt = doubt
        self._comparison = comparison
        self._precision: Precision = "fp32"
        self._room = Room(batch)
        self._others: dict[Precision, NetworkPainter] = {"fp32": self}

    def tuned(self, settings: Mapping[str, Any]) -> NetworkPainter:
        """By ``precision``: ``auto``, ``bf16``, or ``fp32``, which is also what its absence means,
        as of a job from before there was a choice."""
        wanted = settings.get("precision", "fp32")
        return self._at(self._best if wanted == "auto" else wanted)

    def exact(self) -> NetworkPainter | None:
        """See ``Painter``."""
        return None if self._precision == "fp32" else self._at("fp32")

    def limit(self, size: Size) -> int:
        """See ``Painter``."""
        return self._room.limit(size[0] * size[1])

    def overran(self, batch: int, size: Size) -> None:
        """See ``Painter``."""
        self._room.shrink(batch * size[0] * size[1])

    @property
    def auto(self) -> Mapping[str, Any]:
        """See ``Painter``."""
        return {"precision": self._best, **(self._comparison.facts if self._comparison else {})}

    @property
    def facts(self) -> Mapping[str, Any]:
        """Device and precision; with bf16 what it was found to gain and to cost."""
        device, special = str(self._networks.device), self._networks.facts
        facts = {"device": device, "precision": self._precision, **special}
        compared = self._comparison if self._precision == "bf16" else None
        return {**facts, **compared.facts} if compared else facts

    def doubt(self, answer: Unit, region: Region) -> str | None:
        """See ``sanity``."""
        return self._doubt(answer, region)

    @property
    def ahead(self) -> bool:
        """See ``Painter``."""
        return self._networks.ahead

    def start(self, regions: Sequence[Region]) -> Finish:
        """See ``Painter``."""
        with shortage_told(regions, self._networks.device, is_memory_trouble):
            finish = self._networks.start(self._precision, regions)

        def finished() -> list[Unit]:
            with shortage_told(regions, self._networks.device, is_memory_trouble):
                return finish()

        return finished

    def relieve(self) -> None:
        """See ``Painter``."""
        self._networks.relieve()

    def fallback(self) -> NetworkPainter | None:
        """On a GPU: the same weights on the CPU, in float32."""
        if self._networks.device.type == "cpu":
            return None
        return NetworkPainter(self._networks.on_cpu, 1, self._doubt)

    def close(self) -> None:
        """See ``Painter``."""
        self._networks.close()

    @property
    def _best(self) -> Precision:
        return self._comparison.best if self._comparison else "fp32"

    def _at(self, precision: Precision) -> NetworkPainter:
        if precision not in self._others:
            other = NetworkPainter(self._networks, self._batch, self._doubt, self._comparison)
            other._precision = precision
            self._others[precision] = other
            other._others = self._others
        return self._others[precision]


def is_memory_trouble(error: BaseException) -> bool:
    """Whether an exception of torch or numpy means that memory ran out, on whichever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MEMORY_TROUBLE)


def opened(
    model: str, networks: Networks, place: Place, batch: int, doubt: Doubt
) -> NetworkPainter:
    """A painter, after a try whether bfloat16 pays on ``place``; raises ModelUnusable.

    Only the better precision stays loaded: float32 may be a third of what a CPU service takes, and
    is then wanted for a result that can't be right, or by a lane that insists on it.
    """
    try:
        networks.ready("fp32")  # no part of what is measured, and its errors are others
        comparison = _measured(networks)
    except BaseException as error:
        networks.close()
        if not is_memory_trouble(error):
            raise
        raise ModelUnusable(
            model=model,
            cause=f"its weights do not fit into the free memory of {place.label}",
            fix="End other programs on the GPU (`nvidia-smi` lists them), or set device.use: cpu.",
        ) from None
    networks.keep(comparison.best if comparison else "fp32")
    return NetworkPainter(networks, batch, doubt, comparison)


def _measured(networks: Networks) -> Comparison | None:
    """None where bfloat16 does not work at all."""
    try:
        networks.ready("bf16")
        if networks.device.type != "cpu":
            return _compared(networks, time.perf_counter)
        with one_thread():
            return _compared(networks, time.thread_time)
    except RuntimeError as error:
        if is_memory_trouble(error):
            raise
        return None


def _compared(networks: Networks, clock: Clock) -> Comparison:
    def exact(region: Region) -> Unit:
        return networks.start("fp32", [region])()[0]

    def short(region: Region) -> Unit:
        return networks.start("bf16", [region])()[0]

    return compare(exact, short, networks.beat, clock)
