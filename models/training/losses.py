"""What training minimises. Pictures are [B, 3, H, W] float in about [0, 1]; holes [B, 1, H, W],
1 where the network paints. Every function returns one number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_OCTAVES = 3


def hole_l1(out: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """Mean absolute error in the hole; every hole pixel of a batch counts alike."""
    error = (out - image).abs().mean(1, keepdim=True)
    return (error * hole).sum() / hole.sum().clamp(min=1)


def focal_frequency(out: Tensor, image: Tensor) -> Tensor:
    """Jiang et al., "Focal Frequency Loss for Image Reconstruction and Synthesis" (ICCV 2021):
    squared error of the spectrum, weighted by its own size, so that what is hard comes first."""
    difference = torch.fft.rfft2((out - image).float(), norm="ortho")
    distance = difference.real**2 + difference.imag**2
    weight = distance.detach().sqrt()
    weight = weight / weight.amax((-2, -1), keepdim=True).clamp(min=1e-8)
    total: Tensor = (weight * distance).mean()
    return total


def detail(out: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """How much detail there is around each hole pixel, in three octaves, against the truth.

    Detail is what a blur takes away; its strength is compared as a logarithm and blind to where it
    lies. So grain and grass pay even where no pixel can be foretold, where L1 alone wants a blur.
    """
    terms = []
    for _ in range(_OCTAVES):
        ours, theirs = _strength(out, hole), _strength(image, hole)
        terms.append(((ours - theirs).abs() * hole).sum() / hole.sum().clamp(min=1))
        out, image = functional.avg_pool2d(out, 2), functional.avg_pool2d(image, 2)
        hole = (functional.avg_pool2d(hole, 2) > 0.5).float()
    return torch.stack(terms).mean()


def hinge_discriminator(real: Tensor, fake: Tensor, hole: Tensor) -> Tensor:
    """Verdicts [B, 1, h, w] on patches: real ones over 1, those that touch the hole under −1."""
    part = patches(hole, real)
    wrong = (functional.relu(1 + fake) * part).sum() / part.sum().clamp(min=1)
    return functional.relu(1 - real).mean() + wrong


def hinge_generator(fake: Tensor, hole: Tensor) -> Tensor:
    """Lower the more real the patches that touch the hole look."""
    part = patches(hole, fake)
    return -(fake * part).sum() / part.sum().clamp(min=1)


def gradient_penalty(verdict: Tensor, real: Tensor) -> Tensor:
    """R1 (Mescheder et al., ICML 2018): squared gradient of the verdict at real pictures, which
    require grad; summed over pixels, mean over the batch."""
    (gradient,) = torch.autograd.grad(verdict.float().sum(), real, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean()


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean distance of the discriminator's features (Wang et al., pix2pixHD, CVPR 2018)."""
    pairs = zip(fake, real, strict=True)
    terms = [functional.l1_loss(f.float(), r.detach().float()) for f, r in pairs]
    return torch.stack(terms).mean()


def gram(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Distance of the features' correlations (Gatys et al., 2016), blind to where things are."""
    pairs = zip(fake, real, strict=True)
    terms = [functional.l1_loss(_gram(f), _gram(r.detach())) for f, r in pairs]
    return torch.stack(terms).mean()


def patches(hole: Tensor, verdict: Tensor) -> Tensor:
    """1 for patches that touch the hole: [B, 1, H, W] → [B, 1, h, w]."""
    size = (verdict.shape[-2], verdict.shape[-1])
    return functional.adaptive_max_pool2d(hole.float(), size)


def _strength(picture: Tensor, hole: Tensor) -> Tensor:
    """ln of the mean detail of the hole pixels in a 9×9 window, [B, 1, H, W]."""
    blurred = functional.interpolate(
        functional.avg_pool2d(picture, 2), scale_factor=2.0, mode="bilinear"
    )
    lost = (picture - blurred).abs().mean(1, keepdim=True) * hole
    share = functional.avg_pool2d(hole, 9, 1, 4)
    # Weaker detail than 0.01 is noise, and its logarithm would be all that counts.
    return torch.log(functional.avg_pool2d(lost, 9, 1, 4) / share.clamp(min=1e-3) + 0.01)


def _gram(features: Tensor) -> Tensor:
    flat = features.float().flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[-1]
