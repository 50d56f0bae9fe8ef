"""What every training has: a network, its running average, optimisers, and the step it is at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from models.training.schedule import Schedule
from torch import nn


class Trainable(ABC):
    """device: where everything is. short: convolutions in bfloat16.

    Nothing draws from a global random generator after the networks were made: samples and turns
    follow from (seed, step). So the state is the weights, the optimisers and the step, and a
    training that is taken up again goes on as if nothing had happened, bit for bit on the same
    machine with as many threads.
    """

    model: nn.Module
    average: nn.Module

    def __init__(self, recipe: Schedule, device: torch.device, short: bool) -> None:
        self.recipe, self.device, self.short = recipe, device, short
        self.step = 0

    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """Networks and optimisers by name."""

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "step": self.step,
            "random": torch.get_rng_state(),
            **{name: part.state_dict() for name, part in self.parts().items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["random"].cpu())
        self.step = int(state["step"])

    def follow(self) -> None:
        """The running average takes in the new weights; counters are copied."""
        keep = self.recipe.keep(self.step)
        ours, theirs = self.average.state_dict(), self.model.state_dict()
        floats = [name for name in ours if ours[name].is_floating_point()]
        torch._foreach_lerp_([ours[n] for n in floats], [theirs[n] for n in floats], 1 - keep)
        for name in ours.keys() - set(floats):
            ours[name].copy_(theirs[name])

    def set_rate(self, optimiser: torch.optim.Optimizer) -> None:
        """The schedule's learning rate for this step."""
        for group in optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate(self.step)

    def autocast(self) -> AbstractContextManager[Any]:
        """Where convolutions are in bfloat16, if they are to be."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.short)
