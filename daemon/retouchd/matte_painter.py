"""A resident matting network: its two precisions on its device."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retouchd.device import Place, one_thread
from retouchd.errors import ModelUnusable
from retouchd.inpaint import exact_convolutions
from retouchd.lama_painter import is_memory_trouble
from retouchd.manifest import ModelSpec
from retouchd.matting_weights import load_cvunet
from retouchd.memory import give_back
from retouchd.nets.cvunet import CvUNet, fused
from retouchd.painter import Beat, Finish, Size
from retouchd.precision import Comparison, Precision, compare
from retouchd.room import Room
from retouchd.samples import Region, Unit, to_unit
from retouchd.sanity import trouble_with_alpha
from retouchd.shortage import shortage_told

_GPU_BATCH = 16


class Networks:
    """One matting network on one device, in float32 and in bfloat16; each is small."""

    def __init__(self, network: CvUNet, device: torch.device) -> None:
        self._network, self.device = network, device
        self.exact = fused(network).to(device)
        self.short = fused(network).to(device, torch.bfloat16)

    @cached_property
    def on_cpu(self) -> Networks:
        """The same on the CPU."""
        return Networks(self._network, torch.device("cpu"))

    def alphas(self, precision: Precision, regions: Sequence[Region]) -> list[Unit]:
        """[H, W, 1] float32 in [0, 1] of pictures of equal size, 0 beside the photo."""
        network = self.exact if precision == "fp32" else self.short
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        batch = torch.from_numpy(np.stack([network_input(*region) for region in regions]))
        placed = batch.to(self.device, dtype, memory_format=torch.channels_last)
        with torch.inference_mode(), exact_convolutions():
            found: Tensor = network(placed).alpha.float().permute(0, 2, 3, 1)
        shown = np.stack([mask > 0 for _, mask in regions])[..., None]
        return list(found.cpu().numpy() * shown)


def network_input(picture: NDArray[Any], shown: NDArray[np.uint8]) -> Unit:
    """[3, H, W] float32 RGB in [−1, 1], exactly 0 beside the photo."""
    scaled = (to_unit(picture) * 2 - 1) * (shown > 0)[..., None]
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


class MattePainter:
    """A matting network in one precision; the painters of both share the networks."""

    def __init__(
        self,
        networks: Networks,
        batch: int,
        comparison: Comparison | None,
        precision: Precision = "fp32",
    ) -> None:
        self._networks, self._batch, self._comparison = networks, batch, comparison
        self._precision: Precision = precision
        self._room = Room(batch)
        self._others: dict[Precision, MattePainter] = {precision: self}

    def tuned(self, settings: Mapping[str, Any]) -> MattePainter:
        """By ``precision``: ``auto``, ``bf16`` or ``fp32``."""
        wanted = settings.get("precision", "fp32")
        return self._at(self._best if wanted == "auto" else wanted)

    def exact(self) -> MattePainter | None:
        """See ``Painter``."""
        return None if self._precision == "fp32" else self._at("fp32")

    @property
    def auto(self) -> Mapping[str, Any]:
        """See ``Painter``."""
        return {"precision": self._best, **(self._comparison.facts if self._comparison else {})}

    def limit(self, size: Size) -> int:
        """See ``Painter``."""
        return self._room.limit(size[0] * size[1])

    def overran(self, batch: int, size: Size) -> None:
        """See ``Painter``."""
        self._room.shrink(batch * size[0] * size[1])

    @property
    def facts(self) -> Mapping[str, Any]:
        """Device and precision; with bf16 what it was found to gain and to cost."""
        facts = {"device": str(self._networks.device), "precision": self._precision}
        compared = self._comparison if self._precision == "bf16" else None
        return {**facts, **compared.facts} if compared else facts

    def doubt(self, answer: Unit, region: Region) -> str | None:
        """See ``sanity``."""
        return trouble_with_alpha(answer, region[1])

    @property
    def ahead(self) -> bool:
        """It works while it is waited for."""
        return False

    def start(self, regions: Sequence[Region]) -> Finish:
        """See ``Painter``."""

        def finished() -> list[Unit]:
            with shortage_told(regions, self._networks.device, is_memory_trouble):
                return self._networks.alphas(self._precision, regions)

        return finished

    def relieve(self) -> None:
        """See ``Painter``."""
        if self._networks.device.type == "cuda":
            torch.cuda.empty_cache()
        give_back()

    def fallback(self) -> MattePainter | None:
        """On a GPU: the same weights on the CPU, in float32."""
        if self._networks.device.type == "cpu":
            return None
        return MattePainter(self._networks.on_cpu, 1, None)

    def close(self) -> None:
        """See ``Painter``."""
        self._others.clear()
        del self._networks
        give_back()

    @property
    def _best(self) -> Precision:
        return self._comparison.best if self._comparison else "fp32"

    def _at(self, precision: Precision) -> MattePainter:
        if precision not in self._others:
            other = MattePainter(self._networks, self._batch, self._comparison, precision)
            self._others[precision] = other
            other._others = self._others
        return self._others[precision]


def open_cvunet(spec: ModelSpec, place: Place, max_batch: int | None, beat: Beat) -> MattePainter:
    """Load a matting network onto ``place`` and try whether bfloat16 pays; raises ModelUnusable."""
    network = load_cvunet(spec)
    beat()
    try:
        networks = Networks(network, torch.device(place.name))
        comparison = _compare(networks, beat)
    except RuntimeError as error:
        if not is_memory_trouble(error):
            raise
        raise ModelUnusable(
            model=spec.name,
            cause=f"its weights do not fit into the free memory of {place.label}",
            fix="End other programs on the GPU (`nvidia-smi` lists them), or set device.use: cpu.",
        ) from None
    return MattePainter(networks, max_batch or (_GPU_BATCH if place.is_gpu else 1), comparison)


def _compare(networks: Networks, beat: Beat) -> Comparison | None:
    """None where bfloat16 does not work at all."""
    try:
        networks.alphas("bf16", [_glimpse()])
    except RuntimeError as error:
        if is_memory_trouble(error):
            raise
        return None

    def exact(region: Region) -> Unit:
        return networks.alphas("fp32", [region])[0]

    def short(region: Region) -> Unit:
        return networks.alphas("bf16", [region])[0]

    if networks.device.type != "cpu":
        return compare(exact, short, beat, time.perf_counter)
    with one_thread():
        return compare(exact, short, beat, time.thread_time)


def _glimpse() -> Region:
    return np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8)
