"""The seam between a network and the device that it runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from retouchd.inpaint import inpaint
from retouchd.memory import give_back
from retouchd.nets.fused_lama import FusedLama
from retouchd.painter import Finish
from retouchd.samples import Region


class Runner(Protocol):
    """Runs networks on one device. Never called by two threads at once."""

    @property
    def ahead(self) -> bool:
        """Whether ``start`` returns before the work is done, so that more can be started."""

    def start(self, network: FusedLama, regions: Sequence[Region]) -> Finish:
        """Begin to paint regions of equal size; what is returned waits for them, see ``inpaint``.

        Both raise whatever torch raises. ``network`` is on the device.
        """

    def relieve(self) -> None:
        """Give back memory that is only kept for speed. Nothing may be under way."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What to note with a result, if anything is out of the ordinary."""


@dataclass(frozen=True)
class EagerRunner:
    """One operation after the other, as they stand in the network."""

    device: torch.device
    ahead: bool = False

    def start(self, network: FusedLama, regions: Sequence[Region]) -> Finish:
        """All of it happens in what is returned."""
        return partial(inpaint, network, regions, self.device)

    def relieve(self) -> None:
        """What torch and numpy have freed goes back to the system."""
        give_back()

    @property
    def facts(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}


def runner_for(device: torch.device) -> Runner:
    """The runner for a device."""
    if device.type != "cuda":
        return EagerRunner(device)
    from retouchd.cuda_runner import CudaRunner

    return CudaRunner(device)
