"""A resident LaMa."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from retouchd.device import Place
from retouchd.manifest import ModelSpec
from retouchd.nets.fused_lama import FusedLama
from retouchd.network_painter import NetworkPainter, opened
from retouchd.painter import Beat, Finish
from retouchd.precision import Precision
from retouchd.runner import runner_for
from retouchd.samples import Region, Unit
from retouchd.sanity import trouble_with
from retouchd.weights import LamaFile

_GPU_BATCH = 8


class LamaNetworks:
    """See ``Networks``; each precision from when it is wanted.

    file: read again when float32 is wanted after bfloat16 was kept; closed by ``close``.
    """

    def __init__(self, file: LamaFile, device: torch.device, beat: Beat) -> None:
        self._file = file
        self.device = device
        self.beat = beat
        self.runner = runner_for(device)

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
    def on_cpu(self) -> LamaNetworks:
        """See ``Networks``."""
        return LamaNetworks(self._file, torch.device("cpu"), self.beat)

    @property
    def facts(self) -> Mapping[str, Any]:
        """See ``Networks``."""
        return self.runner.facts

    @property
    def ahead(self) -> bool:
        """See ``Networks``."""
        return self.runner.ahead

    def ready(self, precision: Precision) -> None:
        """See ``Networks``."""
        self._in(precision)

    def start(self, precision: Precision, regions: Sequence[Region]) -> Finish:
        """See ``Networks``."""
        return self.runner.start(self._in(precision), regions)

    def keep(self, precision: Precision) -> None:
        """The other is freed, until it is wanted again."""
        self._forget("exact" if precision == "bf16" else "short")

    def relieve(self) -> None:
        """See ``Networks``."""
        self.runner.relieve()

    def close(self) -> None:
        """See ``Networks``."""
        self._forget("exact", "short", "on_cpu")
        self._file.close()

    def _in(self, precision: Precision) -> FusedLama:
        return self.exact if precision == "fp32" else self.short

    def _forget(self, *names: str) -> None:
        for name in names:
            self.__dict__.pop(name, None)
        self.runner.relieve()


def open_lama(spec: ModelSpec, place: Place, max_batch: int | None, beat: Beat) -> NetworkPainter:
    """Load a LaMa onto ``place`` and try whether bfloat16 pays there; raises ModelUnusable.

    On a CPU a batch costs as much as its regions one by one.
    """
    networks = LamaNetworks(LamaFile(spec), torch.device(place.name), beat)
    batch = max_batch or (_GPU_BATCH if place.is_gpu else 1)
    return opened(spec.name, networks, place, batch, _doubt)


def _doubt(answer: Unit, region: Region) -> str | None:
    return trouble_with(answer, *region)


def _shortened(parameter: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.to(torch.bfloat16), requires_grad=False)
