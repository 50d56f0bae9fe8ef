"""A resident LaMa: its two precisions, its device, and what to do when memory runs out."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from retouchd.device import Place, one_thread
from retouchd.errors import ModelUnusable
from retouchd.manifest import ModelSpec
from retouchd.nets.fused_lama import FusedLama
from retouchd.painter import Beat, Finish, Size
from retouchd.precision import Clock, Comparison, Precision, compare
from retouchd.room import Room
from retouchd.runner import runner_for
from retouchd.samples import Region, Unit
from retouchd.sanity import trouble_with
from retouchd.shortage import shortage_told
from retouchd.weights import LamaFile

_GPU_BATCH = 8
_MEMORY_TROUBLE = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",  # cuBLAS, cuDNN and cuFFT each have their own words
)


class Networks:
    """One LaMa's weights on one device, each precision from when it is wanted.

    file: read again when float32 is wanted after ``forget("exact")``; closed by ``close``.
    """

    def __init__(self, file: LamaFile, device: torch.device, beat: Beat) -> None:
        self._file = file
        self.device = device
        self.beat = beat
        self.runner = runner_for(device)

    def get(self, precision: Precision) -> FusedLama:
        """The network in that precision."""
        return self.exact if precision == "fp32" else self.short

    @cached_property
    def exact(self) -> FusedLama:
        """The network in float32."""
        self.beat()
        network = FusedLama(self._file.load(), spend=True).to(self.device)
        if self.device.type == "cpu":
            # A large region takes minutes on a CPU; a GPU's blocks are queued, not run, in here.
            for block in network.blocks:
                block.register_forward_hook(lambda *_: self.beat())
        return network

    @cached_property
    def short(self) -> FusedLama:
        """The network in bfloat16; the copy keeps the hooks."""
        # Each tensor is put in before the rest is copied: no second copy in float32 on the way.
        short = {id(p): _shortened(p) for p in self.exact.parameters()}
        return copy.deepcopy(self.exact, short)

    @cached_property
    def on_cpu(self) -> Networks:
        """The same on the CPU, loaded once."""
        return Networks(self._file, torch.device("cpu"), self.beat)

    def start(self, precision: Precision, regions: Sequence[Region]) -> Finish:
        """See ``Runner.start``."""
        return self.runner.start(self.get(precision), regions)

    def forget(self, name: str) -> None:
        """Free what ``exact``, ``short`` or ``on_cpu`` made, until it is wanted again."""
        self.__dict__.pop(name, None)
        self.runner.relieve()

    def close(self) -> None:
        """Drop all of them, on the device and on the CPU."""
        for name in ("exact", "short", "on_cpu"):
            self.__dict__.pop(name, None)
        self.runner.relieve()
        self._file.close()


def _shortened(parameter: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.to(torch.bfloat16), requires_grad=False)


class LamaPainter:
    """A LaMa on one device in one precision; the painters of both share the networks.

    batch: 1 on a CPU, where a batch costs as much as its regions one by one.
    """

    def __init__(self, networks: Networks, batch: int, comparison: Comparison | None) -> None:
        self._networks = networks
        self._batch = batch
        self._comparison = comparison
        self._precision: Precision = "fp32"
        self._room = Room(batch)
        self._others: dict[Precision, LamaPainter] = {"fp32": self}

    def tuned(self, settings: Mapping[str, Any]) -> LamaPainter:
        """By ``precision``: ``auto``, ``bf16``, or ``fp32``, which is also what its absence means,
        as of a job from before there was a choice."""
        wanted = settings.get("precision", "fp32")
        return self._at(self._best if wanted == "auto" else wanted)

    def exact(self) -> LamaPainter | None:
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
        facts = {
            "device": str(self._networks.device),
            "precision": self._precision,
            **self._networks.runner.facts,
        }
        compared = self._comparison if self._precision == "bf16" else None
        return {**facts, **compared.facts} if compared else facts

    def doubt(self, answer: Unit, region: Region) -> str | None:
        """See ``sanity``."""
        return trouble_with(answer, *region)

    @property
    def ahead(self) -> bool:
        """See ``Painter``."""
        return self._networks.runner.ahead

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
        self._networks.runner.relieve()

    def fallback(self) -> LamaPainter | None:
        """On a GPU: the same weights on the CPU, in float32."""
        if self._networks.device.type == "cpu":
            return None
        return LamaPainter(self._networks.on_cpu, 1, None)

    def close(self) -> None:
        """See ``Painter``."""
        self._networks.close()

    @property
    def _best(self) -> Precision:
        return self._comparison.best if self._comparison else "fp32"

    def _at(self, precision: Precision) -> LamaPainter:
        if precision not in self._others:
            other = LamaPainter(self._networks, self._batch, self._comparison)
            other._precision = precision
            self._others[precision] = other
            other._others = self._others
        return self._others[precision]


def is_memory_trouble(error: BaseException) -> bool:
    """Whether an exception of torch or numpy means that memory ran out, on whichever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MEMORY_TROUBLE)


def open_lama(spec: ModelSpec, place: Place, max_batch: int | None, beat: Beat) -> LamaPainter:
    """Load a LaMa onto ``place`` and try whether bfloat16 pays there; raises ModelUnusable."""
    networks = Networks(LamaFile(spec), torch.device(place.name), beat)
    try:
        comparison = _compare(networks)
    except BaseException as error:
        networks.close()
        if not is_memory_trouble(error):
            raise
        raise ModelUnusable(
            model=spec.name,
            cause=f"its weights do not fit into the free memory of {place.label}",
            fix="End other programs on the GPU (`nvidia-smi` lists them), or set device.use: cpu.",
        ) from None
    return LamaPainter(networks, max_batch or (_GPU_BATCH if place.is_gpu else 1), comparison)


def _compare(networks: Networks) -> Comparison | None:
    """None where bfloat16 does not work at all.

    Only the better one stays in memory: float32 is a third of what a CPU service takes, and is
    then wanted for a result that can't be right, or by a lane that insists on it.
    """
    if networks.device.type != "cpu":
        comparison = _measured(networks, time.perf_counter)
    else:
        with one_thread():
            comparison = _measured(networks, time.thread_time)
    pays = comparison is not None and comparison.best == "bf16"
    networks.forget("exact" if pays else "short")
    return comparison


def _measured(networks: Networks, clock: Clock) -> Comparison | None:
    networks.get("fp32")  # loading is no part of what is measured, and its errors are others
    try:
        networks.get("bf16")
        return compare(
            lambda region: networks.start("fp32", [region])()[0],
            lambda region: networks.start("bf16", [region])()[0],
            networks.beat,
            clock,
        )
    except RuntimeError as error:
        if is_memory_trouble(error):
            raise
        return None
