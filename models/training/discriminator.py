"""The critic of the adversarial stage: it judges overlapping patches, not whole pictures."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """[B, 3, H, W] pictures in [0, 1] → verdicts [B, 1, H/8, W/8], and features.

    As in pix2pix (Isola et al., CVPR 2017), but spectrally normalised (Miyato et al., ICLR 2018)
    instead of batch norm, so that real and fake batches do not share statistics. It is not told
    where the hole is; the losses are.
    """

    def __init__(self, width: int = 48, levels: int = 3) -> None:
        super().__init__()
        widths = [3, *(min(width << level, 8 * width) for level in range(levels + 1))]
        strides = [2] * levels + [1]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(few, many, 4 if stride == 2 else 3, stride, 1))
            for (few, many), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(verdicts, the features after each layer)."""
        x = picture * 2 - 1
        features: list[Tensor] = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        verdict: Tensor = self.verdict(x)
        return verdict, features


def frozen(module: nn.Module, wanted: bool) -> None:
    """Whether the module's weights are left out of the gradient."""
    for parameter in module.parameters():
        parameter.requires_grad_(not wanted)
