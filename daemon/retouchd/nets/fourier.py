"""The real 2-D Fourier transform of channels-last maps, by FFT or by matrix products.

Both are ``torch.fft.rfft2`` and ``irfft2`` with ``norm="ortho"`` over height and width. An FFT
runs in float32 whatever its input is, because torch has none in bfloat16. On small maps, which
LaMa has, products with cosines and sines are faster: they run in the input's type and move no
data between layouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Method = Literal["auto", "fft", "dft"]
Table = Callable[[int, int], tuple[Tensor, Tensor]]

# Where the products, which grow with the cube of the side, still win on a CPU.
_DFT_UP_TO = 128
_KEPT = 16


class Fourier:
    """The transform, with the tables for the sizes that it has seen last.

    method: ``fft``, ``dft`` (products), or ``auto`` by size, type and device.
    """

    def __init__(self, method: Method = "auto") -> None:
        self.method = method
        self._tables: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

    def to_spectrum(self, x: Tensor) -> Tensor:
        """[B, H, W, C] → [B, H, W/2+1, 2C] in the same type: first the real parts of all C, then
        the imaginary ones."""
        batch, height, width, channels = x.shape
        if not self._by_products(x, height, width):
            spectrum = torch.fft.rfft2(x.float(), dim=(1, 2), norm="ortho")
            return torch.cat([spectrum.real, spectrum.imag], dim=-1).to(x.dtype)
        rows, columns = self._table(_forward, height, width, x)
        half = _each(rows, x.reshape(batch, height, width * channels))  # [B, (u, re/im), W·C]
        full = _each(columns, half.view(batch * height, 2 * width, channels))
        return full.view(batch, height, width // 2 + 1, 2 * channels)

    def from_spectrum(self, planes: Tensor, width: int) -> Tensor:
        """The inverse of ``to_spectrum``; ``width``, because W/2+1 tells not odd from even."""
        batch, height, _, channels = planes.shape
        if not self._by_products(planes, height, width):
            spectrum = torch.complex(*planes.float().chunk(2, dim=-1))
            size = (height, width)
            image: Tensor = torch.fft.irfft2(spectrum, s=size, dim=(1, 2), norm="ortho")
            return image.to(planes.dtype)
        rows, columns = self._table(_backward, height, width, planes)
        half = _each(columns, planes.reshape(batch * height, -1, channels // 2))  # [B·H, 2W, C]
        full = _each(rows, half.view(batch, 2 * height, width * channels // 2))
        return full.view(batch, height, width, channels // 2)

    def _by_products(self, x: Tensor, height: int, width: int) -> bool:
        if self.method != "auto":
            return self.method == "dft"
        small = max(height, width) <= _DFT_UP_TO
        return small and x.dtype == torch.bfloat16 and x.device.type == "cpu"

    def _table(self, make: Table, height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
        key = (make, height, width, like.dtype, like.device)
        if key not in self._tables:
            while len(self._tables) >= _KEPT:
                del self._tables[next(iter(self._tables))]
            rows, columns = make(height, width)
            self._tables[key] = (
                rows.to(like.device, like.dtype),
                columns.to(like.device, like.dtype),
            )
        return self._tables[key]


def _each(matrix: Tensor, batch: Tensor) -> Tensor:
    """[M, N] times every one of [B, N, K]."""
    if len(batch) == 1:
        return torch.mm(matrix, batch[0])[None]
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)


def _forward(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Down the columns, [2H, H], real → (u, re/im); then along the rows, [2(W/2+1), 2W],
    (re/im, w) → (k, re/im)."""
    cos, sin = _waves(height, height)
    rows = torch.stack([cos, -sin], dim=1).view(2 * height, height)
    cos, sin = _waves(width // 2 + 1, width)
    real, imaginary = torch.cat([cos, sin], dim=1), torch.cat([-sin, cos], dim=1)
    columns = torch.stack([real, imaginary], dim=1).flatten(0, 1)
    return rows, columns


def _backward(height: int, width: int) -> tuple[Tensor, Tensor]:
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
    return rows, columns


def _waves(first: int, second: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of 2π·j·k/N over √N, [first, second], N being the larger side."""
    side = max(first, second)
    turns = torch.outer(torch.arange(first), torch.arange(second)) % side
    angle = turns.double() * (2 * math.pi / side)
    return angle.cos() / math.sqrt(side), angle.sin() / math.sqrt(side)
