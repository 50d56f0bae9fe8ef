"""A resident LaMa: module, device, and what to do when memory runs out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch

from retouchd.device import Place
from retouchd.errors import ModelUnusable, OutOfMemory
from retouchd.inpaint import inpaint
from retouchd.manifest import ModelSpec
from retouchd.nets.lama import Lama
from retouchd.painter import Beat
from retouchd.samples import Region, Unit
from retouchd.weights import build_lama, load_lama

_GPU_BATCH = 8
_MEMORY_TROUBLE = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",  # cuBLAS, cuDNN and cuFFT each have their own words
)


class LamaPainter:
    """A LaMa on one device, in float32.

    batch: 1 on a CPU, where a batch costs as much as its regions one by one.
    """

    def __init__(self, module: Lama, device: torch.device, batch: int, beat: Beat) -> None:
        self.batch = batch
        self._module = module
        self._device = device
        self._beat = beat
        if device.type == "cpu":
            # A large region takes minutes on a CPU; a GPU's blocks are queued, not run, in here.
            for block in module.blocks:
                block.register_forward_hook(lambda *_: beat())

    @property
    def facts(self) -> Mapping[str, Any]:
        """Device and precision."""
        return {"device": str(self._device), "precision": "fp32"}

    def paint(self, regions: Sequence[Region]) -> list[Unit]:
        """See ``Painter``."""
        try:
            return inpaint(self._module, regions, self._device)
        except (RuntimeError, MemoryError) as error:
            if not is_memory_trouble(error):
                raise
            height, width = regions[0][1].shape
            what = f"{len(regions)} × {width}×{height} pixels on {self._device}"
            raise OutOfMemory(what=what) from None

    def relieve(self) -> None:
        """Empty CUDA's cache."""
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):
                torch.cuda.empty_cache()

    def fallback(self) -> LamaPainter | None:
        """On a GPU: the same weights on the CPU, copied once."""
        return None if self._device.type == "cpu" else self._on_cpu

    def close(self) -> None:
        """Drop the weights, on the device and on the CPU."""
        del self._module
        self.__dict__.pop("_on_cpu", None)
        self.relieve()

    @cached_property
    def _on_cpu(self) -> LamaPainter:
        state = {key: tensor.cpu() for key, tensor in self._module.state_dict().items()}
        module = build_lama(self._module.shape, state)
        return LamaPainter(module, torch.device("cpu"), 1, self._beat)


def is_memory_trouble(error: BaseException) -> bool:
    """Whether an exception of torch or numpy means that memory ran out, on whichever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _MEMORY_TROUBLE)


def open_lama(spec: ModelSpec, place: Place, max_batch: int | None, beat: Beat) -> LamaPainter:
    """Load a LaMa onto ``place``; raises ModelUnusable."""
    module = load_lama(spec)
    device = torch.device(place.name)
    try:
        module = module.to(device)
    except RuntimeError as error:
        if not is_memory_trouble(error):
            raise
        raise ModelUnusable(
            model=spec.name,
            cause=f"its weights do not fit into the free memory of {place.label}",
            fix="End other programs on the GPU (`nvidia-smi` lists them), or set device.use: cpu.",
        ) from None
    return LamaPainter(module, device, max_batch or (_GPU_BATCH if place.is_gpu else 1), beat)
