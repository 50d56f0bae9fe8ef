"""A resident matting network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retouchd.device import Place
from retouchd.inpaint import exact_convolutions
from retouchd.manifest import ModelSpec
from retouchd.matting_weights import load_cvunet
from retouchd.memory import give_back
from retouchd.nets.cvunet import CvUNet, fused
from retouchd.network_painter import NetworkPainter, opened
from retouchd.painter import Beat, Finish
from retouchd.precision import Precision
from retouchd.samples import Region, Unit, to_unit
from retouchd.sanity import trouble_with_alpha

_GPU_BATCH = 16


class MatteNetworks:
    """See ``Networks``; both precisions stay, for each is small."""

    ahead = False  # it works while it is waited for

    def __init__(self, network: CvUNet, device: torch.device, beat: Beat) -> None:
        self._network, self.device, self.beat = network, device, beat

    @cached_property
    def exact(self) -> CvUNet:
        """The network in float32."""
        self.beat()
        return fused(self._network).to(self.device)

    @cached_property
    def short(self) -> CvUNet:
        """The network in bfloat16."""
        return fused(self._network).to(self.device, torch.bfloat16)

    @cached_property
    def on_cpu(self) -> MatteNetworks:
        """See ``Networks``."""
        return MatteNetworks(self._network, torch.device("cpu"), self.beat)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Nothing is ever out of the ordinary."""
        return {}

    def ready(self, precision: Precision) -> None:
        """See ``Networks``."""
        self.alphas(precision, [(np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.uint8))])

    def start(self, precision: Precision, regions: Sequence[Region]) -> Finish:
        """All of it happens in what is returned."""
        return partial(self.alphas, precision, regions)

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

    def keep(self, precision: Precision) -> None:
        """See ``Networks``."""

    def relieve(self) -> None:
        """See ``Networks``."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        give_back()

    def close(self) -> None:
        """See ``Networks``."""
        for name in ("exact", "short", "on_cpu"):
            self.__dict__.pop(name, None)
        self.relieve()


def network_input(picture: NDArray[Any], shown: NDArray[np.uint8]) -> Unit:
    """[3, H, W] float32 RGB in [−1, 1], exactly 0 beside the photo."""
    scaled = (to_unit(picture) * 2 - 1) * (shown > 0)[..., None]
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def open_cvunet(spec: ModelSpec, place: Place, max_batch: int | None, beat: Beat) -> NetworkPainter:
    """Load a matting network onto ``place`` and try whether bfloat16 pays; raises ModelUnusable."""
    networks = MatteNetworks(load_cvunet(spec), torch.device(place.name), beat)
    batch = max_batch or (_GPU_BATCH if place.is_gpu else 1)
    return opened(spec.name, networks, place, batch, _doubt)


def _doubt(answer: Unit, region: Region) -> str | None:
    return trouble_with_alpha(answer, region[1])
