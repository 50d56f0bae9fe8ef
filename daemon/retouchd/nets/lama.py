"""LaMa: the generator with fast Fourier convolutions.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions"
(arXiv 2109.07161), on Chi et al., "Fast Fourier Convolution" (NeurIPS 2020).

Features run in two streams: a *local* one of ordinary convolutions and a *global* one that is
mixed in the frequency domain, where a 1×1 convolution sees the whole image. Tensors are NCHW.
This file knows nothing of weights files (see ``weights``), padding of photos or devices; sides
must be multiples of ``2**downs`` and at least twice that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

Pair = tuple[Tensor, Tensor]
_CORRECTING = 7


@dataclass(frozen=True)
class LamaShape:
    """The numbers of one LaMa generator; the defaults are big-lama's.

    inputs, outputs: channels; RGB with the hole set to 0, and the mask, give RGB. With 7 inputs it
        also gets a picture whose hole is filled already, and corrects that.
    ngf: features at full resolution; they double with each of the ``downs`` halvings, up to
        ``max_features``.
    blocks: residual blocks at the lowest resolution.
    ratio: share of the features there that is global, between 0 and 1, both excluded.
    """

    inputs: int = 4
    outputs: int = 3
    ngf: int = 64
    downs: int = 3
    blocks: int = 18
    ratio: float = 0.75
    max_features: int = 1024

    def features(self, level: int) -> int:
        """Features after ``level`` halvings."""
        return min(self.max_features, self.ngf << level)

    @property
    def corrects(self) -> bool:
        """Whether it corrects a fill within the hole, instead of painting anew."""
        return self.inputs == _CORRECTING

    @property
    def deep_global(self) -> int:
        """Global features in the residual blocks."""
        # The original rounds down; a ratio read back from weights must survive its own division.
        return int(self.features(self.downs) * self.ratio + 1e-6)

    @property
    def deep_local(self) -> int:
        """Local features in the residual blocks."""
        return self.features(self.downs) - self.deep_global


class Lama(nn.Module):
    """[B, 4, H, W] float: RGB in [0, 1] times (1 − mask), and the mask; → [B, 3, H, W] in [0, 1].

    The output paints the whole image; the caller keeps what lies under the mask. One that corrects
    gets [B, 7, H, W]: also the filled RGB, which is the image itself outside the mask, and there so
    is the output.
    """

    def __init__(self, shape: LamaShape) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape.features(level) for level in range(shape.downs + 1)]
        self.stem = LocalConv(shape.inputs, widths[0], kernel=7)
        self.downs = nn.ModuleList(
            LocalConv(wide, wider, kernel=3, stride=2) for wide, wider in pairwise(widths[:-1])
        )
        self.split = SplitConv(widths[-2], shape.deep_local, shape.deep_global)
        self.blocks = nn.ModuleList(
            FfcBlock(shape.deep_local, shape.deep_global) for _ in range(shape.blocks)
        )
        self.ups = nn.ModuleList(UpConv(wider, wide) for wider, wide in pairwise(reversed(widths)))
        self.head = reflect_conv(widths[0], shape.outputs, kernel=7, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """One forward pass; see the class for shapes and ranges."""
        given = x
        x = self.stem(x)  # [B, ngf, H, W]
        for down in self.downs:
            x = down(x)  # the last one: [B, 4·ngf, H/4, W/4]
        pair: Pair = self.split(x)  # [B, 2·ngf, H/8, W/8] and [B, 6·ngf, H/8, W/8]
        for block in self.blocks:
            pair = block(*pair)
        x = torch.cat(pair, dim=1)  # [B, 8·ngf, H/8, W/8]
        for up in self.ups:
            x = up(x)  # the last one: [B, ngf, H, W]
        return self.answer(given, self.head(x))

    def answer(self, given: Tensor, raw: Tensor) -> Tensor:
        """What the head's values mean; see ``answer``."""
        return answer(given, raw)


def answer(given: Tensor, raw: Tensor) -> Tensor:
    """[B, 3, H, W] float32 in [0, 1] from a network's input and its head's values [B, 3, H, W]."""
    if given.shape[1] != _CORRECTING:
        return torch.sigmoid(raw.float())
    return corrected(given, raw).clamp(0, 1)


def corrected(given: Tensor, raw: Tensor) -> Tensor:
    """The fill of [B, 7, H, W] with what was found to be wrong with it, in float32."""
    hole, fill = given[:, 3:4].float(), given[:, 4:7].float()
    return fill + hole * raw.float()


def reflect_conv(
    features: int, out: int, kernel: int, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A convolution that mirrors the image at its border, without repeating the edge."""
    return nn.Conv2d(
        features, out, kernel, stride, padding=kernel // 2, padding_mode="reflect", bias=bias
    )


class LocalConv(nn.Module):
    """Convolution, batch norm, ReLU in the local stream: [B, C, H, W] → [B, C', H/s, W/s]."""

    def __init__(self, features: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.l2l = reflect_conv(features, out, kernel, stride)
        self.norm_l = nn.BatchNorm2d(out)

    def forward(self, local: Tensor) -> Tensor:
        """Local → local."""
        return torch.relu(self.norm_l(self.l2l(local)))


class SplitConv(nn.Module):
    """The last halving, where the global stream begins: [B, C, H, W] → a pair at [H/2, W/2]."""

    def __init__(self, features: int, out_local: int, out_global: int) -> None:
        super().__init__()
        self.l2l = reflect_conv(features, out_local, kernel=3, stride=2)
        self.l2g = reflect_conv(features, out_global, kernel=3, stride=2)
        self.norm_l = nn.BatchNorm2d(out_local)
        self.norm_g = nn.BatchNorm2d(out_global)

    def forward(self, local: Tensor) -> Pair:
        """Local → (local, global)."""
        return (
            torch.relu(self.norm_l(self.l2l(local))),
            torch.relu(self.norm_g(self.l2g(local))),
        )


class FfcBlock(nn.Module):
    """Two fast Fourier convolutions around a skip connection; shapes stay as they are."""

    def __init__(self, local: int, spectral: int) -> None:
        super().__init__()
        self.conv1 = FfcConv(local, spectral)
        self.conv2 = FfcConv(local, spectral)

    def forward(self, local: Tensor, spectral: Tensor) -> Pair:
        """(local, global) → (local, global)."""
        change_l, change_g = self.conv2(*self.conv1(local, spectral))
        return local + change_l, spectral + change_g


class FfcConv(nn.Module):
    """Fast Fourier convolution, batch norm, ReLU: each stream hears both."""

    def __init__(self, local: int, spectral: int) -> None:
        super().__init__()
        self.l2l = reflect_conv(local, local, kernel=3)
        self.l2g = reflect_conv(local, spectral, kernel=3)
        self.g2l = reflect_conv(spectral, local, kernel=3)
        self.g2g = SpectralTransform(spectral)
        self.norm_l = nn.BatchNorm2d(local)
        self.norm_g = nn.BatchNorm2d(spectral)

    def forward(self, local: Tensor, spectral: Tensor) -> Pair:
        """(local, global) → (local, global)."""
        return (
            torch.relu(self.norm_l(self.l2l(local) + self.g2l(spectral))),
            torch.relu(self.norm_g(self.l2g(local) + self.g2g(spectral))),
        )


class SpectralTransform(nn.Module):
    """Global → global through half as many features: [B, C, H, W] → [B, C, H, W]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        half = features // 2
        self.squeeze = nn.Conv2d(features, half, 1, bias=False)
        self.squeeze_norm = nn.BatchNorm2d(half)
        self.fourier = FourierUnit(half)
        self.expand = nn.Conv2d(half, features, 1, bias=False)

    def forward(self, spectral: Tensor) -> Tensor:
        """Global → global."""
        x = torch.relu(self.squeeze_norm(self.squeeze(spectral)))
        out: Tensor = self.expand(x + self.fourier(x))
        return out


class FourierUnit(nn.Module):
    """A 1×1 convolution of the real 2-D spectrum: [B, C, H, W] → [B, C, H, W].

    The transform always runs in float32, whatever the convolutions run in: half precision
    overflows in it and only takes powers of two, and bfloat16 is not supported at all.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * features, 2 * features, 1, bias=False)
        self.norm = nn.BatchNorm2d(2 * features)

    def forward(self, x: Tensor) -> Tensor:
        """Image domain → image domain."""
        height, width = x.shape[-2:]
        spectrum = torch.fft.rfft2(x.float(), norm="ortho")  # [B, C, H, W/2+1] complex
        planes = _to_planes(spectrum).to(x.dtype)  # [B, 2C, H, W/2+1]
        planes = torch.relu(self.norm(self.mix(planes)))
        spectrum = _from_planes(planes.float())
        out: Tensor = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")
        return out.to(x.dtype)


def _to_planes(spectrum: Tensor) -> Tensor:
    """[B, C, H, W] complex → [B, 2C, H, W] real: channel 2c is Re of c, channel 2c+1 its Im."""
    return torch.view_as_real(spectrum).permute(0, 1, 4, 2, 3).flatten(1, 2)


def _from_planes(planes: Tensor) -> Tensor:
    """The inverse of ``_to_planes``."""
    batch, channels, height, width = planes.shape
    pairs = planes.reshape(batch, channels // 2, 2, height, width).permute(0, 1, 3, 4, 2)
    return torch.view_as_complex(pairs.contiguous())


class UpConv(nn.Module):
    """Transposed convolution, batch norm, ReLU: [B, C, H, W] → [B, C', 2H, 2W]."""

    def __init__(self, features: int, out: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            features, out, kernel_size=3, stride=2, padding=1, output_padding=1
        )
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Doubles both sides."""
        return torch.relu(self.norm(self.conv(x)))
