"""Networks on a CUDA device that is never idle while there is work.

Three streams: one sends batch n + 1, one computes batch n, one fetches batch n − 1. Page-locked
host memory, which copies need that run beside computing, comes from torch's own cache of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from retouchd.cuda_graphs import Graphs
from retouchd.inpaint import exact_convolutions, inpaint
from retouchd.nets.fused_lama import FusedLama
from retouchd.painter import Finish
from retouchd.samples import Region, Unit
from retouchd.staging import stage, staging_shape, unstage


class CudaRunner:
    """Implements ``runner.Runner`` for one CUDA device."""

    ahead = True

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._send, self._compute, self._fetch = (_stream(device) for _ in range(3))
        self._graphs = Graphs()

    def start(self, network: FusedLama, regions: Sequence[Region]) -> Finish:
        """See ``Runner``; returns as soon as everything is queued on the device."""
        if network.shape.corrects:
            # Its fill is made on the CPU, so there is nothing to be gained by sending integers.
            return partial(inpaint, network, regions, self._device)
        height, width = regions[0][1].shape
        with torch.cuda.device(self._device), torch.inference_mode(), exact_convolutions():
            staged = self._sent(_staged(regions, network.shape.downs))
            with torch.cuda.stream(self._compute):
                painted = self._graphs.run(network, unstage(staged))
                ready = painted[..., :height, :width].permute(0, 2, 3, 1).contiguous()
            images, done = self._fetched(ready)

        def finish() -> list[Unit]:
            done.synchronize()
            # Copies, because page-locked memory is scarce and goes back as a whole batch.
            return [image.copy() for image in images.numpy()]

        return finish

    def relieve(self) -> None:
        """Drop the graphs, cuFFT's plans with their workspaces, and torch's cache."""
        with torch.cuda.device(self._device):
            torch.cuda.synchronize()
            self._graphs.clear()
            torch.backends.cuda.cufft_plan_cache[self._device].clear()
            torch.cuda.empty_cache()

    @property
    def facts(self) -> Mapping[str, Any]:
        """``cuda_graphs``: why they are off, if they are."""
        return {"cuda_graphs": self._graphs.trouble} if self._graphs.trouble else {}

    def _sent(self, staged: Tensor) -> Tensor:
        with torch.cuda.stream(self._send):
            sent = staged.to(self._device, non_blocking=True)
        self._compute.wait_stream(self._send)
        sent.record_stream(self._compute)  # its memory is not for the next upload before that
        return sent

    def _fetched(self, ready: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        self._fetch.wait_stream(self._compute)
        ready.record_stream(self._fetch)
        images = torch.empty(ready.shape, dtype=ready.dtype, pin_memory=True)
        done: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._fetch):
            images.copy_(ready, non_blocking=True)
            done.record()
        return images, done


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _staged(regions: Sequence[Region], downs: int) -> Tensor:
    kind = torch.uint8 if regions[0][0].dtype == "uint8" else torch.int16
    staged = torch.empty(staging_shape(regions, downs), dtype=kind, pin_memory=True)
    stage(regions, staged.numpy().view(regions[0][0].dtype))
    return staged
