"""Regions as one array of integers, and that array as a network's input.

So a device is sent a quarter of the bytes, and the rest of ``inpaint.network_input`` happens there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retouchd.inpaint import grown
from retouchd.samples import Region


def staging_shape(regions: Sequence[Region], downs: int) -> tuple[int, int, int, int]:
    """[B, H', W', 4], the sides grown as the network needs them."""
    height, width = regions[0][1].shape
    return len(regions), grown(height, downs), grown(width, downs), 4


def stage(regions: Sequence[Region], out: NDArray[Any]) -> None:
    """Fill ``out`` [B, H', W', 4], of the images' type, with RGB and the mask over its full range.

    What is beside a region is its mirror image, the edge repeated.
    """
    for target, (image, mask) in zip(out, regions, strict=True):
        height, width = mask.shape
        rows, columns = (
            np.pad(np.arange(side), (0, whole - side), mode="symmetric")[side:]
            for side, whole in zip(mask.shape, target.shape, strict=False)
        )
        target[:height, :width, :3] = image
        target[:height, :width, 3] = mask.astype(out.dtype) * (np.iinfo(out.dtype).max // 255)
        target[height:, :width] = target[rows, :width]
        target[:, width:] = target[:, columns]


def unstage(staged: Tensor) -> Tensor:
    """[B, H', W', 4] uint8, or uint16 as int16 → what ``network_input`` makes, [B, 4, H', W'].

    The result lies channels-last, as the network wants it.
    """
    top = 255.0
    if staged.dtype == torch.int16:  # torch has hardly any operation for uint16
        staged, top = staged.to(torch.int32).bitwise_and_(0xFFFF), 65535.0
    samples = staged.float()
    hole = samples[..., 3:] > top / 2
    rgb = (samples[..., :3] / top).masked_fill_(hole, 0.0)
    return torch.cat([rgb, hole.float()], dim=-1).permute(0, 3, 1, 2)
