"""One training of lama-compact: its networks, its optimisers, and what one step does to them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from models.training import losses
from models.training.data import Batch
from models.training.discriminator import PatchDiscriminator, frozen
from models.training.lama_compact import CompactLama, stacked
from models.training.norms import settle
from models.training.recipe import Recipe
from models.training.trainable import Trainable
from torch import Tensor, nn


class Trainer(Trainable):
    """See ``Trainable``."""

    recipe: Recipe
    model: CompactLama
    average: CompactLama

    def __init__(self, recipe: Recipe, device: torch.device, short: bool) -> None:
        super().__init__(recipe, device, short)
        torch.manual_seed(recipe.seed)
        layout: Any = {"device": device, "memory_format": torch.channels_last}
        self.model = CompactLama(recipe.shape).to(**layout).eval()  # see ``calibrate``
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.critic = PatchDiscriminator(recipe.critic_width).to(**layout).train()
        fused = device.type == "cuda"
        self.painting = torch.optim.AdamW(
            self.model.parameters(), recipe.rate, (0.5, 0.99), weight_decay=1e-4, fused=fused
        )
        self.judging = torch.optim.Adam(
            self.critic.parameters(), recipe.critic_rate, (0.0, 0.99), fused=fused
        )

    def parts(self) -> dict[str, Any]:
        """Both networks, the average, both optimisers."""
        return {
            "model": self.model,
            "average": self.average,
            "critic": self.critic,
            "painting": self.painting,
            "judging": self.judging,
        }

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Set the statistics of all batch norms once; from then on they are plain factors.

        Batches as small as a CPU allows differ so much in brightness that norms which follow them
        keep a network from learning any colour. It also makes training and use the same.
        """
        settle(self.model, (stacked(*self.ready(batch)) for batch in batches))
        self.average.load_state_dict(self.model.state_dict())

    def begin_with(self, model: CompactLama) -> None:
        """Start from a trained network's weights; raises RuntimeError for another shape."""
        for ours in (self.model, self.average):
            ours.load_state_dict(model.state_dict())

    def advance(self, batch: Batch, adversarial: bool) -> dict[str, Tensor]:
        """One step; gives the parts of the loss, not yet fetched from the device."""
        self.set_rate(self.painting)
        image, hole, fill = self.ready(batch)
        with self.autocast():
            whole = self.model(stacked(image, hole, fill))
        terms = {
            "l1": losses.hole_l1(whole, image, hole),
            "frequency": self.recipe.frequency * losses.focal_frequency(whole, image),
            "detail": self.recipe.detail * losses.detail(whole, image, hole),
        }
        told = {"fill": losses.hole_l1(fill, image, hole)}
        if adversarial:
            told |= self._judge(whole.detach(), image, hole)
            terms |= self._impress(whole, image, hole)
        self.painting.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.painting.step()
        self.follow()
        self.step += 1
        return {name: term.detach() for name, term in (terms | told).items()}

    def ready(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Image, hole and fill on the device, as float in [0, 1], channels last."""
        image, hole, fill = (part.to(self.device, non_blocking=True).float() for part in batch)
        last = torch.channels_last
        return (
            (image / 255).contiguous(memory_format=last),
            hole,
            (fill / 255).contiguous(memory_format=last),
        )

    def _judge(self, fake: Tensor, real: Tensor, hole: Tensor) -> dict[str, Tensor]:
        """One step of the critic."""
        with self.autocast():
            on_real, on_fake = self.critic(torch.cat([real, fake]))[0].float().chunk(2)
        told = {"critic": losses.hinge_discriminator(on_real, on_fake, hole)}
        if self.step % self.recipe.penalty_every == 0:
            told["penalty"] = self._penalty(real)
        self.judging.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(told.values())).sum())
        self.judging.step()
        return told

    def _penalty(self, real: Tensor) -> Tensor:
        """In float32: a gradient of a gradient is small. Lazy: rare, and as much heavier."""
        real = real.detach().requires_grad_(True)
        weight = self.recipe.penalty / 2 * self.recipe.penalty_every
        return weight * losses.gradient_penalty(self.critic(real)[0], real)

    def _impress(self, fake: Tensor, real: Tensor, hole: Tensor) -> dict[str, Tensor]:
        """What the critic makes of the network's picture."""
        frozen(self.critic, True)
        with self.autocast():
            verdict, seen = self.critic(fake)
            with torch.no_grad():
                _, known = self.critic(real)
        frozen(self.critic, False)
        return {
            "adversary": self.recipe.adversary * losses.hinge_generator(verdict.float(), hole),
            "matching": self.recipe.matching * losses.feature_matching(seen, known),
            "gram": self.recipe.gram * losses.gram(seen, known),
        }
