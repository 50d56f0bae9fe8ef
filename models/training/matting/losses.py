"""What training minimises. alpha, truth: [B, 1, H, W] float in [0, 1], both 0 beside the photo.
Every function returns one number."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEVELS = 5
_CELL = 4  # pixels; the band is found on a coarser grid, because wide filters are slow


def coarse(logits: Tensor, truth: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """(binary cross-entropy, 1 − IoU) of logits [B, 1, h, w], against the truth averaged over
    their pixels."""
    size = (logits.shape[-2], logits.shape[-1])
    wanted = functional.adaptive_avg_pool2d(truth, size)
    weight = functional.adaptive_avg_pool2d(shown, size)
    each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (each * weight).sum() / weight.sum(), overlap(torch.sigmoid(logits) * weight, wanted)


def overlap(found: Tensor, truth: Tensor) -> Tensor:
    """1 − intersection over union, soft (Rahman and Wang 2016), mean over the batch; of a truth
    without a subject it is near 0 if nothing was found."""
    both = (found * truth).flatten(1).sum(1)
    either = (found + truth - found * truth).flatten(1).sum(1)
    return 1 - ((both + 1) / (either + 1)).mean()


def band(truth: Tensor, reach: int) -> Tensor:
    """1 within about ``reach`` pixels of where alpha is neither 0 nor 1, else 0; like truth."""
    most = functional.max_pool2d(truth, _CELL, ceil_mode=True)
    least = -functional.max_pool2d(-truth, _CELL, ceil_mode=True)
    cells = max(1, round(reach / _CELL))
    wide = 2 * cells + 1
    most = functional.max_pool2d(most, wide, 1, cells)
    least = -functional.max_pool2d(-least, wide, 1, cells)
    edge = (most - least > 0.1).to(truth.dtype)
    return functional.interpolate(edge, size=truth.shape[2:])


def weighted_l1(alpha: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error by weight."""
    return ((alpha - truth).abs() * weight).sum() / weight.sum().clamp(min=1)


def cross_entropy(alpha: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy by weight; pulls hard where the network is sure and wrong, where an L1
    after a sigmoid hardly pulls at all."""
    each = functional.binary_cross_entropy(alpha.clamp(1e-4, 1 - 1e-4), truth, reduction="none")
    return (each * weight).sum() / weight.sum().clamp(min=1)


def laplacian(alpha: Tensor, truth: Tensor) -> Tensor:
    """L1 of the Laplacian pyramids (Hou and Liu, ICCV 2019): level i counts 2^i, as its pixels
    do in each direction."""
    error = alpha - truth  # the pyramid is linear
    terms = []
    for level in range(_LEVELS):
        small = functional.avg_pool2d(error, 2, ceil_mode=True)
        size = (error.shape[-2], error.shape[-1])
        back = functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
        terms.append(2**level * (error - back).abs().mean())
        error = small
    return torch.stack(terms).sum()


def gradient(alpha: Tensor, truth: Tensor) -> Tensor:
    """L1 of the differences between neighbours."""
    error = alpha - truth
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    return across + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()


def composition(alpha: Tensor, truth: Tensor, contrast: Tensor) -> Tensor:
    """How wrong the picture is that one gets from alpha and the true colours (Xu et al., CVPR
    2017): errors count by the ``contrast``, in [0, 1], of subject and backdrop."""
    return ((alpha - truth).abs() * contrast).mean()
