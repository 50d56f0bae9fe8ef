"""Batch norms that are set rather than followed."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def settle(model: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Set the statistics of all batch norms to their means over ``inputs``, given the weights.

    Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (arXiv 2105.07576), section 3. Leaves the
    model in evaluation mode.
    """
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
    model.train()
    with torch.no_grad():
        for each in inputs:
            model(each)
    model.eval()
