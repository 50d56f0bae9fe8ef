"""A resident LaMa: its two precisions, its device, and what to do when memory runs out."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from retouchd.device import Place
from retouchd.errors import ModelUnusable, OutOfMemory
from retouchd.inpaint import inpaint
from retouchd.manifest import ModelSpec
from retouchd.nets.fused_lama import FusedLama
from retouchd.painter import Beat, Size
from retouchd.precision import Comparison, Precision, compare
from retouchd.samples import Region, Unit
from retouchd.weights import load_lama

_GPU_BATCH = 8
_MEMORY_TROUBLE = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",  # cuBLAS, cuDNN and cuFFT each have their own words
)


class Networks:
    """One LaMa's weights on one device, in float32, and in bfloat16 once that is wanted."""

    def __init__(self, exact: FusedLama, device: torch.device, beat: Beat) -> None:
        self.device = device
        self.beat = beat
        self.exact = exact.to(device)
        if device.type == "cpu":
            # A large region takes minutes on a CPU; a GPU's blocks are queued, not run, in here.
            for block in self.exact.blocks:
                block.register_forward_hook(lambda *_: beat())

    def get(self, precision: Precision) -> FusedLama:
        """The network in that precision."""
        return self.exact if precision == "fp32" else self.short

    @cached_property
    def short(self) -> FusedLama:
        """The network in bfloat16; the copy keeps the hooks."""
        return copy.deepcopy(self.exact).to(torch.bfloat16)

    @cached_property
    def on_cpu(self) -> Networks:
        """The same on the CPU, copied once."""
        return Networks(copy.deepcopy(self.exact).cpu(), torch.device("cpu"), self.beat)

    def paint(self, precision: Precision, regions: Sequence[Region]) -> list[Unit]:
        """See ``inpaint``; raises whatever torch raises."""
        return inpaint(self.get(precision), regions, self.device)

    def forget(self, name: str) -> None:
        """Free what ``short`` or ``on_cpu`` made."""
        self.__dict__.pop(name, None)


@dataclass
class Room:
    """How many regions fit at once, as far as experience tells.

    most: the most there ever may be. overran: pixels of the smallest batch that did not fit.
    """

    most: int
    overran: int | None = None

    def limit(self, pixels: int) -> int:
        """The most regions of so many pixels: half of what failed, as the ladder halves."""
        if self.overran is None:
            return self.most
        return max(1, min(self.most, self.overran // (2 * pixels)))

    def shrink(self, pixels: int) -> None:
        """A batch of so many pixels did not fit."""
        self.overran = pixels if self.overran is None else min(pixels, self.overran)


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
        facts = {"device": str(self._networks.device), "precision": self._precision}
        compared = self._comparison if self._precision == "bf16" else None
        return {**facts, **compared.facts} if compared else facts

    def paint(self, regions: Sequence[Region]) -> list[Unit]:
        """See ``Painter``."""
        try:
            return self._networks.paint(self._precision, regions)
        except (RuntimeError, MemoryError) as error:
            if not is_memory_trouble(error):
                raise
            height, width = regions[0][1].shape
            what = f"{len(regions)} × {width}×{height} pixels on {self._networks.device}"
            raise OutOfMemory(what=what) from None

    def relieve(self) -> None:
        """Empty CUDA's cache."""
        if self._networks.device.type == "cuda":
            with torch.cuda.device(self._networks.device):
                torch.cuda.empty_cache()

    def fallback(self) -> LamaPainter | None:
        """On a GPU: the same weights on the CPU, in float32."""
        if self._networks.device.type == "cpu":
            return None
        return LamaPainter(self._networks.on_cpu, 1, None)

    def close(self) -> None:
        """Drop the weights, on the device and on the CPU."""
        device = self._networks.device
        for painter in self._others.values():
            del painter._networks
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.empty_cache()

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
    network = FusedLama(load_lama(spec))
    beat()
    try:
        networks = Networks(network, torch.device(place.name), beat)
        comparison = _compare(networks)
    except RuntimeError as error:
        if not is_memory_trouble(error):
            raise
        raise ModelUnusable(
            model=spec.name,
            cause=f"its weights do not fit into the free memory of {place.label}",
            fix="End other programs on the GPU (`nvidia-smi` lists them), or set device.use: cpu.",
        ) from None
    return LamaPainter(networks, max_batch or (_GPU_BATCH if place.is_gpu else 1), comparison)


def _compare(networks: Networks) -> Comparison | None:
    """None where bfloat16 does not work at all. Keeps it in memory only where it pays."""
    try:
        comparison = compare(
            lambda region: networks.paint("fp32", [region])[0],
            lambda region: networks.paint("bf16", [region])[0],
            networks.beat,
        )
    except RuntimeError as error:
        if is_memory_trouble(error):
            raise
        comparison = None
    if comparison is None or comparison.best != "bf16":
        networks.forget("short")
    return comparison
