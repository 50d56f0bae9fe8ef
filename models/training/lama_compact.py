"""lama-compact: a small LaMa that corrects a Navier–Stokes fill.

The layers are big-lama's (``retouchd.nets.lama``), so that weights, fused form, precisions and
regions are shared. Two things differ, and both follow from ``inputs == 7``: the network also sees
the hole filled by Navier–Stokes inpainting, and it ends in no activation, because what comes out
is added to that fill, within the hole. A network that says nothing is thus as good as
``classical``, and known pixels are never in question.

    python -m models.training.lama_compact --help
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

from retouchd.nets.lama import Lama, LamaShape, corrected

INPUTS = 7


class CompactLama(Lama):
    """[B, 7, H, W]: RGB times (1 − hole), hole, fill → [B, 3, H, W] RGB, not clamped.

    All in [0, 1]; the fill is the picture itself outside the hole, and so is the output. Sides as
    for ``Lama``.
    """

    def __init__(self, shape: LamaShape) -> None:
        if shape.inputs != INPUTS:
            raise ValueError(f"a network that corrects a fill has {INPUTS} inputs")
        super().__init__(shape)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def answer(self, given: Tensor, raw: Tensor) -> Tensor:
        """Not clamped, so that what is beyond black and white learns as well."""
        return corrected(given, raw)


def stacked(image: Tensor, hole: Tensor, fill: Tensor) -> Tensor:
    """The network's input from [B, 3 | 1 | 3, H, W] float."""
    return torch.cat([image * (1 - hole), hole, fill], 1)


if __name__ == "__main__":
    from models.training.command import main

    sys.exit(main(sys.argv[1:]))
