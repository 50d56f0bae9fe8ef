"""A U-Net for universal matting: one forward pass from a photo to its alpha.

MobileNetV3-Large (Howard et al. 2019) as encoder, atrous spatial pyramid pooling at its deepest
level (Chen et al., "Rethinking Atrous Convolution", arXiv 1706.05587), and a decoder that takes
in the encoder's maps on its way up (Ronneberger et al. 2015) and weighs its features with CBAM
(Woo et al., ECCV 2018, arXiv 1807.06521). Tensors are NCHW and may lie channels-last, which is
two to three times as fast on a CPU. This file knows nothing of weights files (see
``matting_weights``), pictures or devices.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from retouchd.nets.mobilenet import ConvNorm, MobileNet


@dataclass(frozen=True)
class CvUNetShape:
    """The numbers of one network; the defaults have 3.9 M parameters.

    width: factor on the encoder's features, see ``mobilenet``.
    context: features of the pyramid pooling at 1/32.
    rates: its dilations; (3, 6, 9) reach as far at 1/32 as the paper's (6, 12, 18) at 1/16.
    decoder: features at 1/16, 1/8, 1/4 and 1/2.
    head: features at full resolution.
    """

    width: float = 1.0
    context: int = 128
    rates: tuple[int, ...] = (3, 6, 9)
    decoder: tuple[int, int, int, int] = (96, 64, 40, 24)
    head: int = 16


class Mattes(NamedTuple):
    """What the network says.

    alpha: [N, 1, H, W] float32 in [0, 1]: how much of each pixel is subject.
    coarse: [N, 1, H/8, W/8] logits of the same, from features that see far: for the training's
        segmentation losses, and for a second opinion.
    """

    alpha: Tensor
    coarse: Tensor


class CvUNet(nn.Module):
    """[N, 3, H, W] RGB in [−1, 1] → ``Mattes``. Any sides from 32 px; trained for 512 × 512."""

    def __init__(self, shape: CvUNetShape = CvUNetShape()) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = MobileNet(shape.width)
        skips = self.encoder.features
        self.context = PyramidPooling(skips[4], shape.context, shape.rates)
        wide16, wide8, wide4, wide2 = shape.decoder
        self.up16 = UpBlock(shape.context, skips[3], wide16)
        self.up8 = UpBlock(wide16, skips[2], wide8)
        self.up4 = UpBlock(wide8, skips[1], wide4)
        self.up2 = UpBlock(wide4, skips[0], wide2)
        self.coarse = nn.Conv2d(wide8, 1, 1)
        self.detail = ConvNorm(wide2 + 3, shape.head, 3)
        self.head = nn.Conv2d(shape.head, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Mattes:
        """One forward pass; see the class for shapes and ranges."""
        at2, at4, at8, at16, at32 = self.encoder(image)
        x = self.context(at32)  # [N, 128, H/32, W/32]
        x = self.up16(x, at16)  # [N, 96, H/16, W/16]
        x = self.up8(x, at8)  # [N, 64, H/8, W/8]
        coarse = self.coarse(x).float()
        x = self.up4(x, at4)  # [N, 40, H/4, W/4]
        x = self.up2(x, at2)  # [N, 24, H/2, W/2]
        # The photo itself comes in last: edges are nowhere as sharp as there.
        x = self.detail(torch.cat([_enlarged(x, image), image], dim=1))
        return Mattes(torch.sigmoid(self.head(x).float()), coarse)


def fused(net: CvUNet) -> CvUNet:
    """The same function for inference: batch norms folded into the convolutions, channels-last.

    ``net`` is left as it is and shares no weights.
    """
    fast = copy.deepcopy(net).eval().requires_grad_(False)
    for module in fast.modules():
        if isinstance(module, ConvNorm):
            module.fold()
    return fast


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class PyramidPooling(nn.Module):
    """Context at several reaches and of the whole image: [N, C, H, W] → [N, C', H, W]."""

    def __init__(self, inputs: int, out: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.near = ConvNorm(inputs, out, 1)
        self.far = nn.ModuleList(ConvNorm(inputs, out, 3, dilation=rate) for rate in rates)
        # Without batch norm: one value per image has no statistics in a batch of one.
        self.whole = nn.Conv2d(inputs, out, 1)
        self.project = ConvNorm((2 + len(rates)) * out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        whole = torch.relu(self.whole(x.mean((2, 3), keepdim=True)))
        views = [self.near(x), *(far(x) for far in self.far), whole.expand(-1, -1, *x.shape[2:])]
        out: Tensor = self.project(torch.cat(views, dim=1))
        return out


class UpBlock(nn.Module):
    """[N, C, h, w] and the encoder's [N, S, H, W] → [N, C', H, W]."""

    def __init__(self, inputs: int, skip: int, out: int) -> None:
        super().__init__()
        self.merge = ConvNorm(inputs + skip, out, 3)
        self.refine = ConvNorm(out, out, 3)
        self.attention = Cbam(out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """See the class."""
        x = self.merge(torch.cat([_enlarged(x, skip), skip], dim=1))
        out: Tensor = self.attention(self.refine(x))
        return out


class Cbam(nn.Module):
    """Convolutional block attention: first which features matter, then where; same shape."""

    def __init__(self, features: int, reduction: int = 8, kernel: int = 7) -> None:
        super().__init__()
        hidden = max(4, features // reduction)
        self.squeeze = nn.Conv2d(features, hidden, 1)
        self.excite = nn.Conv2d(hidden, features, 1)
        self.where = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        which = self._weigh(x.mean((2, 3), keepdim=True)) + self._weigh(x.amax((2, 3), True))
        x = x * torch.sigmoid(which)
        summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.where(summary))

    def _weigh(self, pooled: Tensor) -> Tensor:
        out: Tensor = self.excite(torch.relu(self.squeeze(pooled)))
        return out
