"""One training of cvunet-compact: its network, its optimiser, and what one step does to them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from models.training.matting import losses
from models.training.matting.recipe import Recipe
from models.training.matting.scenes import Batch
from models.training.norms import settle
from models.training.trainable import Trainable
from torch import Tensor, nn

from retouchd.nets.cvunet import CvUNet, Mattes
from retouchd.nets.mobilenet import Bottleneck, ConvNorm

_SUBJECT = 0.2  # the share of a picture that subjects take, about


class Ready(NamedTuple):
    """A batch as float on the device. image: in [−1, 1], 0 beside the photo, channels last.
    The others in [0, 1]."""

    image: Tensor
    alpha: Tensor
    contrast: Tensor
    shown: Tensor


class Trainer(Trainable):
    """See ``Trainable``."""

    recipe: Recipe
    model: CvUNet
    average: CvUNet

    def __init__(self, recipe: Recipe, device: torch.device, short: bool) -> None:
        super().__init__(recipe, device, short)
        torch.manual_seed(recipe.seed)
        layout: Any = {"device": device, "memory_format": torch.channels_last}
        model = CvUNet(recipe.shape)
        initialise(model)
        if short and device.type == "cpu":
            exact_depthwise(model)
        self.model = model.to(**layout).train()
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.optimiser = torch.optim.AdamW(
            _groups(self.model, recipe.decay), recipe.rate, (0.9, 0.99), fused=True
        )

    def parts(self) -> dict[str, Any]:
        """The network, its average and the optimiser."""
        return {"model": self.model, "average": self.average, "optimiser": self.optimiser}

    def begin_with(self, model: CvUNet) -> None:
        """Start from a trained network's weights; raises RuntimeError for another shape."""
        for ours in (self.model, self.average):
            ours.load_state_dict(model.state_dict())

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """One step; gives the parts of the loss, not yet fetched from the device."""
        self.set_rate(self.optimiser)
        given = self.ready(batch)
        with self.autocast():
            mattes = self.model(given.image)
        terms = self.terms(mattes, given)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimiser.step()
        self.follow()
        self.step += 1
        return {name: term.detach() for name, term in terms.items()}

    def terms(self, mattes: Mattes, given: Ready) -> dict[str, Tensor]:
        """The weighted parts of the loss by name."""
        weigh, truth, shown = self.recipe, given.alpha, given.shown
        alpha = mattes.alpha * shown
        entropy, overlap = losses.coarse(mattes.coarse, truth, shown)
        edge = losses.band(truth, round(weigh.reach * truth.shape[-1])) * shown
        near = shown + weigh.band * edge
        return {
            "coarse": weigh.coarse * entropy,
            "overlap": weigh.overlap * overlap,
            "l1": weigh.l1 * losses.weighted_l1(alpha, truth, near),
            "entropy": weigh.entropy * losses.cross_entropy(alpha, truth, near),
            "laplacian": weigh.laplacian * losses.laplacian(alpha, truth),
            "gradient": weigh.gradient * losses.gradient(alpha, truth),
            "composition": weigh.composition * losses.composition(alpha, truth, given.contrast),
        }

    def ready(self, batch: Batch) -> Ready:
        """See ``Ready``."""
        image, alpha, contrast, shown = (
            part.to(self.device, non_blocking=True).float() for part in batch
        )
        image = (image / 127.5 - 1) * shown
        image = image.contiguous(memory_format=torch.channels_last)
        return Ready(image, alpha / 255, contrast / 255, shown)

    def settled(self, batches: Iterable[Batch]) -> CvUNet:
        """The running average, for use: with norms that fit its weights.

        Norms that followed the weights lag behind, and were seen on smaller pictures. A copy: the
        training doesn't depend on when it was looked at.
        """
        net = copy.deepcopy(self.average)
        settle(net, (self.ready(batch).image for batch in batches))
        return net


def initialise(model: CvUNet) -> None:
    """He et al. 2015 for convolutions; bottlenecks begin as identities (Goyal et al. 2017).

    The heads begin with what is likely (Lin et al. 2017). Without, the first steps teach every
    feature before them to say "backdrop", and alpha ends at a half where the ReLU has none left.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for block in model.encoder.modules():
        if isinstance(block, Bottleneck) and block.skips:
            nn.init.zeros_(block.project.norm.get_parameter("weight"))
    _centred(model.context.far)
    for head in (model.head, model.coarse):
        nn.init.normal_(head.weight, std=0.05)
        nn.init.constant_(head.get_parameter("bias"), math.log(_SUBJECT / (1 - _SUBJECT)))


def _centred(layers: nn.Module) -> None:
    """Dilated convolutions begin with their middle only.

    On small pictures the other taps lie beyond the edge and learn nothing; on large ones later,
    what they were born with would be noise.
    """
    for module in layers.modules():
        if isinstance(module, nn.Conv2d):
            middle = module.weight.detach()[..., 1, 1].clone()
            nn.init.zeros_(module.weight)
            with torch.no_grad():
                module.weight[..., 1, 1] = middle


class ExactConv(nn.Conv2d):
    """A convolution in float32 whatever the autocast."""

    def forward(self, x: Tensor) -> Tensor:
        """As nn.Conv2d."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def exact_depthwise(model: nn.Module) -> None:
    """Depthwise convolutions in float32: on a CPU, bfloat16 makes their gradients 2 to 17 times
    as slow, while it makes the other convolutions faster."""
    for module in model.modules():
        if isinstance(module, ConvNorm) and module.conv.groups > 1:
            module.conv.__class__ = ExactConv


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights of convolutions decay; norms and biases don't."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
