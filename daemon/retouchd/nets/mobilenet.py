"""MobileNetV3-Large without its classifier: a small encoder for dense prediction.

Howard et al., "Searching for MobileNetV3" (ICCV 2019, arXiv 1905.02244), table 1, up to and
including the last bottleneck; squeeze-and-excitation after Hu et al. (CVPR 2018). Tensors are
NCHW and may lie channels-last.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Layer:
    """One bottleneck: a row of the paper's table.

    kernel: of the depthwise convolution. expanded, out: features. excite: with squeeze-and-
    excitation. hard: hard swish instead of ReLU. stride: 1 or 2.
    """

    kernel: int
    expanded: int
    out: int
    excite: bool
    hard: bool
    stride: int


LARGE = (
    Layer(3, 16, 16, False, False, 1),
    Layer(3, 64, 24, False, False, 2),
    Layer(3, 72, 24, False, False, 1),
    Layer(5, 72, 40, True, False, 2),
    Layer(5, 120, 40, True, False, 1),
    Layer(5, 120, 40, True, False, 1),
    Layer(3, 240, 80, False, True, 2),
    Layer(3, 200, 80, False, True, 1),
    Layer(3, 184, 80, False, True, 1),
    Layer(3, 184, 80, False, True, 1),
    Layer(3, 480, 112, True, True, 1),
    Layer(3, 672, 112, True, True, 1),
    Layer(5, 672, 160, True, True, 2),
    Layer(5, 960, 160, True, True, 1),
    Layer(5, 960, 160, True, True, 1),
)


def even(features: float) -> int:
    """The nearest multiple of 8, at least 8, and never more than 10 % below; as in the paper."""
    near = max(8, int(features + 4) // 8 * 8)
    return near + 8 if near < 0.9 * features else near


class MobileNet(nn.Module):
    """[N, 3, H, W] → five maps of [N, ``features[i]``, H/2^(i+1), W/2^(i+1)], finest first.

    width: factor on the features of every layer; 1 is the paper's. Sides that are no multiple of
    32 are rounded up at each halving.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        inputs = even(16 * width)
        self.stem = ConvNorm(3, inputs, 3, stride=2, act="hard")
        self.blocks = nn.ModuleList()
        stages = [inputs]
        for layer in LARGE:
            block = Bottleneck(inputs, layer, width)
            self.blocks.append(block)
            if layer.stride == 2:
                stages.append(block.out)
            inputs = stages[-1] = block.out
        self.features = tuple(stages)  # of the default: 16, 24, 40, 112, 160

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        maps = [self.stem(x)]
        for block, layer in zip(self.blocks, LARGE, strict=True):
            x = block(maps[-1])
            if layer.stride == 2:
                maps.append(x)
            else:
                maps[-1] = x
        return maps


class Bottleneck(nn.Module):
    """Inverted residual: widen, filter per feature, weigh, narrow; [N, C, H, W] → [N, C', …]."""

    def __init__(self, inputs: int, layer: Layer, width: float) -> None:
        super().__init__()
        wide, self.out = even(layer.expanded * width), even(layer.out * width)
        act = "hard" if layer.hard else "relu"
        self.expand = ConvNorm(inputs, wide, 1, act=act) if wide != inputs else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, layer.kernel, layer.stride, groups=wide, act=act)
        self.excite = Excite(wide) if layer.excite else nn.Identity()
        self.project = ConvNorm(wide, self.out, 1, act="")
        self.skips = layer.stride == 1 and inputs == self.out

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        change: Tensor = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + change if self.skips else change


class Excite(nn.Module):
    """Squeeze and excitation: features weighted by what the whole image holds; same shape."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(features, even(features / 4), 1)
        self.excite = nn.Conv2d(even(features / 4), features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        pooled = x.mean((2, 3), keepdim=True)
        return x * functional.hardsigmoid(self.excite(torch.relu(self.squeeze(pooled))))


class ConvNorm(nn.Module):
    """Convolution, batch norm, and ReLU ("relu"), hard swish ("hard") or nothing ("").

    [N, C, H, W] → [N, C', H/s, W/s], padded with zeros. Statistics move by 1 % a batch, as in
    the paper.
    """

    def __init__(
        self,
        inputs: int,
        out: int,
        kernel: int,
        stride: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        act: str = "relu",
    ) -> None:
        super().__init__()
        reach = kernel // 2 * dilation
        self.conv = nn.Conv2d(inputs, out, kernel, stride, reach, dilation, groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.norm(self.conv(x))
        if self.act == "relu":
            return torch.relu(x)
        return functional.hardswish(x) if self.act == "hard" else x

    def fold(self) -> None:
        """Put the trained batch norm into the convolution, in place; for inference only."""
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d):
            return
        mean, var = norm.running_mean, norm.running_var
        assert mean is not None  # ours always keep their statistics
        assert var is not None
        scale = norm.weight.double() / torch.sqrt(var.double() + norm.eps)
        weight = self.conv.weight.double() * scale[:, None, None, None]
        shift = norm.bias.double() - mean.double() * scale
        kind = self.conv.weight.dtype
        laid_out = weight.to(kind, memory_format=torch.channels_last)
        self.conv.weight = nn.Parameter(laid_out, requires_grad=False)
        self.conv.bias = nn.Parameter(shift.to(kind), requires_grad=False)
        self.norm = nn.Identity()
