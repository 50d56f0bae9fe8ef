"""Arrays and a LaMa module → arrays, in float32 at both ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from retouchd import classical
from retouchd.engine import Pixels
from retouchd.nets.fused_lama import FusedLama
from retouchd.nets.lama import Lama, LamaShape
from retouchd.samples import Region, Unit, is_hole, to_unit

Network = Lama | FusedLama
_PLAIN = LamaShape()


def inpaint(module: Network, regions: Sequence[Region], device: torch.device) -> list[Unit]:
    """What ``module``, which is on ``device``, paints for regions of equal size.

    regions: pairs of image [H, W, 3] RGB uint8 or uint16 and mask [H, W] uint8, 255 in the hole.
    Returns per region [H, W, 3] RGB float32 in [0, 1], the known pixels repainted as well.
    """
    height, width = regions[0][1].shape
    batch = np.stack([network_input(*region, module.shape) for region in regions])
    with torch.inference_mode(), exact_convolutions():
        painted = module(torch.from_numpy(batch).to(device))
        cropped = painted[..., :height, :width].permute(0, 2, 3, 1).contiguous().cpu()
    return list(cropped.numpy())


def network_input(image: Pixels, mask: NDArray[np.uint8], shape: LamaShape = _PLAIN) -> Unit:
    """The network's input for one region: [4, H', W'] float32, RGB times (1 − mask), and the mask.
    For one that corrects also the RGB as ``classical`` fills it: [7, H', W'].

    As in the original, H and W grow to multiples of 8 by mirroring at the bottom and the right,
    the edge repeated. H' and W' are at least two pixels after its halvings, because a
    reflecting convolution can't mirror a single one.
    """
    hole = is_hole(mask)
    planes = [to_unit(image) * ~hole[..., None], hole]
    if shape.corrects:
        planes.append(classical.fill(image, mask))
    stacked = np.dstack(planes).astype(np.float32, copy=False)
    sides = [(0, grown(side, shape.downs) - side) for side in mask.shape]
    padded = np.pad(stacked, [*sides, (0, 0)], mode="symmetric")
    return np.ascontiguousarray(padded.transpose(2, 0, 1))


def grown(side: int, downs: int) -> int:
    """The side's length that a network with so many halvings gets; see ``network_input``."""
    unit = max(8, 1 << downs)
    return max(-(-side // unit) * unit, 2 << downs)


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """By default CUDA's convolutions round their float32 inputs to TF32's 10 bits."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
