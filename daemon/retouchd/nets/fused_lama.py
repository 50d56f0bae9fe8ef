"""LaMa rearranged for speed: computes what ``lama.Lama`` computes, and is built from one.

What is different: batch norms are folded into the convolutions before them, both convolutions
that lead to the local stream are one, tensors lie channels-last so that 1×1 convolutions are
plain matrix products, and the Fourier transform of small maps is two matrix products as well.
Meant for inference only. The network runs in the type of its weights, float32 or bfloat16 (not
float16: activations overflow it); see ``fourier`` for what the transform runs in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from retouchd.nets.fourier import Fourier, Method
from retouchd.nets.lama import (
    FfcBlock,
    FfcConv,
    Lama,
    LocalConv,
    SpectralTransform,
    UpConv,
    answer,
)

Folded = tuple[Tensor, Tensor]
Layer = TypeVar("Layer", bound=nn.Module)


class FusedLama(nn.Module):
    """[B, 4 or 7, H, W] float32 → [B, 3, H, W] float32 in [0, 1], as ``Lama``; sides likewise.

    lama: in float32 and in evaluation mode; it is left as it is and shares no weights.
    method: how to get to the frequency domain; see ``fourier.Fourier``.
    spend: give each of its layers up as soon as it is fused, so that both networks never lie in
        memory whole; ``lama`` is of no use afterwards.
    """

    def __init__(self, lama: Lama, method: Method = "auto", *, spend: bool = False) -> None:
        super().__init__()
        fourier = Fourier(method)
        self.shape = lama.shape
        self.stem = Conv(*_fold_local(lama.stem))
        self.downs = nn.ModuleList(
            Conv(*_fold_local(down), stride=2) for down in _each(lama.downs, LocalConv, spend)
        )
        self.split = Conv(*_fold_split(lama), stride=2)
        self.blocks = nn.ModuleList(
            Block(block, fourier) for block in _each(lama.blocks, FfcBlock, spend)
        )
        self.ups = nn.ModuleList(Up(up) for up in _each(lama.ups, UpConv, spend))
        self.head = Head(lama.head)
        self.requires_grad_(False)

    @property
    def dtype(self) -> torch.dtype:
        """What the convolutions run in."""
        return self.stem.weight.dtype

    def forward(self, x: Tensor) -> Tensor:
        """One forward pass; see the class for shapes and ranges."""
        given = x
        x = self.stem(x.to(self.dtype, memory_format=torch.channels_last))
        for down in self.downs:
            x = down(x)
        x = self.split(x)  # [B, local + global, H/8, W/8]; stays one tensor from here on
        for block in self.blocks:
            x = block(x)
        for up in self.ups:
            x = up(x)
        return answer(given, self.head(x))


class Conv(nn.Module):
    """Mirrored border, convolution, ReLU: [B, C, H, W] → [B, C', H/s, W/s]."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int = 1) -> None:
        super().__init__()
        self.weight = _laid_out(weight)
        self.bias = nn.Parameter(bias)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        border = self.weight.shape[-1] // 2
        padded = _mirror(x, border)
        return functional.conv2d(padded, self.weight, self.bias, self.stride).relu_()


class Up(nn.Module):
    """Transposed convolution and ReLU: [B, C, H, W] → [B, C', 2H, 2W]."""

    def __init__(self, up: UpConv) -> None:
        super().__init__()
        scale, shift = _affine(up.norm)
        self.weight = _laid_out(up.conv.weight * scale[None, :, None, None])
        bias = shift if up.conv.bias is None else shift + up.conv.bias * scale
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Doubles both sides."""
        return functional.conv_transpose2d(
            x, self.weight, self.bias, stride=2, padding=1, output_padding=1
        ).relu_()


class Head(nn.Module):
    """Mirrored border and the last convolution: [B, C, H, W] → [B, O, H, W].

    Three output channels leave most of a processor's vector empty. So the taps of one column
    become output channels of a k×1 convolution, and the k columns are added up afterwards.
    """

    def __init__(self, head: nn.Conv2d) -> None:
        super().__init__()
        out, features, kernel, _ = head.weight.shape
        columns = head.weight.permute(3, 0, 1, 2).reshape(kernel * out, features, kernel, 1)
        self.kernel, self.out = kernel, out
        self.weight = _laid_out(columns)
        self.bias = nn.Parameter(torch.zeros(out) if head.bias is None else head.bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        width, border = x.shape[-1], self.kernel // 2
        partial = functional.conv2d(_mirror(x, border), self.weight)
        total = self.bias.float()[None, :, None, None]
        for column in range(self.kernel):
            taps = partial[:, column * self.out : (column + 1) * self.out]
            total = total + taps[..., column : column + width]
        return total


class Block(nn.Module):
    """Two fast Fourier convolutions around a skip connection, on stacked streams."""

    def __init__(self, block: FfcBlock, fourier: Fourier) -> None:
        super().__init__()
        self.conv1 = Ffc(block.conv1, fourier)
        self.conv2 = Ffc(block.conv2, fourier)

    def forward(self, stack: Tensor) -> Tensor:
        """[B, L + G, H, W] → the same shape."""
        change: Tensor = self.conv2(self.conv1(stack))
        return change.add_(stack)


class Ffc(nn.Module):
    """Fast Fourier convolution, batch norm, ReLU: [B, L + G, H, W] → the same shape."""

    def __init__(self, conv: FfcConv, fourier: Fourier) -> None:
        super().__init__()
        scale_l, shift_l = _affine(conv.norm_l)
        scale_g, shift_g = _affine(conv.norm_g)
        to_local = torch.cat([conv.l2l.weight, conv.g2l.weight], dim=1)
        self.to_local = _laid_out(to_local * scale_l[:, None, None, None])
        self.l2g = _laid_out(conv.l2g.weight * scale_g[:, None, None, None])
        self.bias_l = nn.Parameter(shift_l)
        self.bias_g = nn.Parameter(shift_g)
        self.g2g = Spectral(conv.g2g, scale_g, fourier)

    def forward(self, stack: Tensor) -> Tensor:
        """See the class."""
        local = self.l2g.shape[1]
        padded = _mirror(stack, 1)
        out_l = functional.conv2d(padded, self.to_local, self.bias_l)
        out_g = functional.conv2d(padded[:, :local], self.l2g, self.bias_g)
        out_g = self.g2g(stack[:, local:], out_g)
        return torch.cat([out_l, out_g], dim=1).relu_()


class Spectral(nn.Module):
    """The spectral transform without its batch norm: adds E(x + F⁻¹(ReLU(M·F(x)))) to a tensor.

    x is the squeezed input, half as wide. ``expand`` is scaled by the batch norm that follows the
    sum of both global paths, whose shift is in the other one's bias.
    """

    def __init__(self, plain: SpectralTransform, scale_g: Tensor, fourier: Fourier) -> None:
        super().__init__()
        scale, shift = _affine(plain.squeeze_norm)
        self.squeeze = nn.Parameter(_matrix(plain.squeeze) * scale)
        self.squeeze_bias = nn.Parameter(shift)
        scale, shift = _affine(plain.fourier.norm)
        # lama.py has Re and Im of a channel side by side; here all Re come first, then all Im.
        order = torch.arange(len(scale)).view(-1, 2).t().flatten()
        self.mix = nn.Parameter((_matrix(plain.fourier.mix) * scale)[order][:, order])
        self.mix_bias = nn.Parameter(shift[order])
        self.expand = nn.Parameter(_matrix(plain.expand) * scale_g)
        self.fourier = fourier

    def forward(self, spectral: Tensor, out: Tensor) -> Tensor:
        """spectral, out: [B, G, H, W] → their sum, [B, G, H, W]; ``out`` is used up."""
        nhwc = spectral.permute(0, 2, 3, 1)
        batch, height, width, _ = nhwc.shape
        x = torch.addmm(self.squeeze_bias, nhwc.reshape(-1, nhwc.shape[-1]), self.squeeze).relu_()
        x = x.view(batch, height, width, -1)
        planes = self.fourier.to_spectrum(x)  # [B, H, W/2+1, 2C]
        mixed = torch.addmm(self.mix_bias, planes.flatten(0, 2), self.mix).relu_()
        x += self.fourier.from_spectrum(mixed.view_as(planes), width)
        rows = out.permute(0, 2, 3, 1).reshape(-1, out.shape[1])
        total = rows.addmm_(x.flatten(0, 2), self.expand)
        return total.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _each(layers: nn.ModuleList, kind: type[Layer], spend: bool) -> Iterator[Layer]:
    for number, layer in enumerate(layers):
        if isinstance(layer, kind):
            yield layer
        if spend:
            layers[number] = nn.Identity()


def _mirror(x: Tensor, border: int) -> Tensor:
    return functional.pad(x, (border,) * 4, mode="reflect")


def _laid_out(weight: Tensor) -> nn.Parameter:
    # A copy, so that the network that it came from can be freed.
    return nn.Parameter(weight.clone(memory_format=torch.channels_last))


def _matrix(conv: nn.Conv2d) -> Tensor:
    """A 1×1 convolution as the matrix that rows of pixels are multiplied with: [C, C']."""
    return conv.weight[:, :, 0, 0].t()


def _affine(norm: nn.BatchNorm2d) -> Folded:
    """A trained batch norm as factor and summand per channel."""
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None  # ours always keep their statistics
    assert var is not None
    scale = norm.weight / torch.sqrt(var + norm.eps)
    return scale, norm.bias - mean * scale


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Folded:
    scale, shift = _affine(norm)
    return conv.weight * scale[:, None, None, None], shift


def _fold_local(local: LocalConv) -> Folded:
    return _fold(local.l2l, local.norm_l)


def _fold_split(lama: Lama) -> Folded:
    """The convolutions to the local and to the global stream, stacked into one."""
    split = lama.split
    streams = [_fold(split.l2l, split.norm_l), _fold(split.l2g, split.norm_g)]
    weights, biases = zip(*streams, strict=True)
    return torch.cat(weights), torch.cat(biases)
