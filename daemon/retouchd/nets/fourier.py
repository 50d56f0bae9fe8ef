"""The real 2-D Fourier transform of channels-last maps, by FFT or by matrix products.

Both are ``torch.fft.rfft2`` and ``irfft2`` with ``norm="ortho"`` over height and width. An FFT
runs in float32 whatever its input is, because torch has none in bfloat16. On small maps, which
LaMa has, the products with cached cosines and sines are faster: they run in the input's type and
move no data between layouts.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Transform = Literal["auto", "fft", "dft"]

# Where the products, which grow with the cube of the side, still win on a CPU.
_DFT_UP_TO = 96


def to_spectrum(x: Tensor, transform: Transform) -> Tensor:
    """[B, H, W, C] → [B, H, W/2+1, 2C] in the same type: the real parts of all C, then the
    imaginary ones."""
    batch, height, width, channels = x.shape
    if not _by_products(x, height, width, transform):
        spectrum = torch.fft.rfft2(x.float(), dim=(1, 2), norm="ortho")
        return torch.cat([spectrum.real, spectrum.imag], dim=-1).to(x.dtype)
    rows, columns = _forward(height, width, x.dtype, x.device)
    half = _each(rows, x.view(batch, height, width * channels))  # [B, 2H, W·C]: (u, re/im)
    full = _each(columns, half.view(batch * height, 2 * width, channels))
    return full.view(batch, height, width // 2 + 1, 2 * channels)


def from_spectrum(planes: Tensor, width: int, transform: Transform) -> Tensor:
    """The inverse of ``to_spectrum``; ``width``, because W/2+1 does not tell odd from even."""
    batch, height, _, channels = planes.shape
    if not _by_products(planes, height, width, transform):
        real, imaginary = planes.float().chunk(2, dim=-1)
        spectrum = torch.complex(real, imaginary)
        return torch.fft.irfft2(spectrum, s=(height, width), dim=(1, 2), norm="ortho").to(
            planes.dtype
        )
    rows, columns = _backward(height, width, planes.dtype, planes.device)
    half = _each(columns, planes.reshape(batch * height, -1, channels // 2))  # [B·H, 2W, C]
    full = _each(rows, half.view(batch, 2 * height, width * channels // 2))
    return full.view(batch, height, width, channels // 2)


def _by_products(x: Tensor, height: int, width: int, transform: Transform) -> bool:
    if transform != "auto":
        return transform == "dft"
    small = max(height, width) <= _DFT_UP_TO
    return small and x.dtype == torch.bfloat16 and x.device.type == "cpu"


def _each(matrix: Tensor, batch: Tensor) -> Tensor:
    """[M, N] times every one of [B, N, K]."""
    if len(batch) == 1:
        return torch.mm(matrix, batch[0])[None]
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)


@lru_cache(maxsize=16)
def _forward(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Down the columns, [2H, H], real → (u, re/im); then along the rows, [2(W/2+1), 2W],
    (re/im, w) → (k, re/im)."""
    cos, sin = _waves(height, height)
    rows = torch.stack([cos, -sin], dim=1).view(2 * height, height)
    cos, sin = _waves(width // 2 + 1, width)
    real, imaginary = torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)
    columns = torch.stack([real, imaginary], dim=1).flatten(0, 1)
    return rows.to(device, dtype), columns.to(device, dtype)


@lru_cache(maxsize=16)
def _backward(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Down the columns, [H, 2H], (u, re/im) → real; before that along the rows,
    [2W, 2(W/2+1)], (k, re/im) → (re/im, w).

    Every frequency but 0 and W/2 stands for its mirror image as well.
    """
    cos, sin = _waves(height, height)
    rows = torch.stack([cos, -sin], dim=-1).view(height, 2 * height)
    cos, sin = _waves(width, width // 2 + 1)
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    cos, sin = cos * twice, sin * twice
    real = torch.stack([cos, -sin], dim=-1).flatten(1)
    imaginary = torch.stack([sin, cos], dim=-1).flatten(1)
    columns = torch.cat([real, imaginary])
    return rows.to(device, dtype), columns.to(device, dtype)


def _waves(first: int, second: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of 2π·j·k/N over √N, [first, second], N being the larger side."""
    side = max(first, second)
    turns = torch.outer(torch.arange(first), torch.arange(second)) % side
    angle = turns.double() * (2 * math.pi / side)
    return angle.cos() / math.sqrt(side), angle.sin() / math.sqrt(side)
