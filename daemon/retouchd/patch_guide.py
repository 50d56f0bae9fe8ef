"""Pure: what a hole looks like at large, so that no patch is chosen that is far from it.

Patches that suit each other may suit nothing around them: a dark wall in the middle of the sky.
Diffusion (``classical``) leaves a blur, but the blur's colours are nearer the truth than those of
any patch (measured). So at coarse sizes a patch costs more if its mean colour, or how much detail
it has, is not what the blur has thereabouts. That a coarse guess leads the search is from Zhang et
al., "Inpainting at Modern Camera Resolution by Guided PatchMatch with Auto-Curation" (ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd import classical
from retouchd.patch_level import SIDE, Index, PatchLevel, smaller, words
from retouchd.samples import Unit

_GUIDED = 3  # of the coarsest sizes; but not the full one if there are others
_WEIGHT = 8  # of a mean's distance, against that of one pixel of a patch
_NEAR = np.ones((3, 3), np.uint8)  # whose means a patch may have, too
_DETAIL = 8.0  # weight of how much detail there is, against that in patches
_TEXTURE = 1.0  # by how much of the detail there a colour may be off

_Words = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class PatchGuide:
    """What patches of one size are in the mean, and between what those in its hole should be.

    All [H · W], RGB and detail in 8 bits each; see ``patch_level.words``.
    """

    shown: _Words
    least: _Words
    most: _Words

    def off(self, targets: Index, sources: Index) -> NDArray[np.int32]:
        """[n], how far sources are from what the targets should be."""
        least, most, shown = (
            bound.take(which).view(np.uint8)
            for bound, which in ((self.least, targets), (self.most, targets), (self.shown, sources))
        )
        beside = (np.maximum(least, shown) - shown) + (np.maximum(shown, most) - most)
        far = beside.reshape(-1, 4).sum(axis=1, dtype=np.int32)
        return np.asarray(far * np.int32(_WEIGHT), np.int32)


def guides(levels: Sequence[PatchLevel]) -> list[PatchGuide | None]:
    """For each level, from fine to coarse, what its hole should be like; none for the finest."""
    finest = max(len(levels) - _GUIDED, min(1, len(levels) - 1))
    found: list[PatchGuide | None] = [None] * finest
    blur = _blurred(levels[finest])
    for _ in levels[finest:]:
        found.append(_guide(blur))
        blur = np.stack([smaller(plane) for plane in blur])
    return found


def _blurred(level: PatchLevel) -> Unit:
    """[4, H, W], the level's picture with a blur in its hole."""
    known = np.where(level.hole, 0, level.planes).transpose(1, 2, 0)
    blur = classical.diffused(np.ascontiguousarray(known), level.hole)
    return np.ascontiguousarray(blur.transpose(2, 0, 1))


def _guide(blur: Unit) -> PatchGuide:
    mean = np.stack([cv2.blur(plane, (SIDE, SIDE)) for plane in blur])
    # Texture has patches of other colours than its mean.
    apart = _TEXTURE * mean[3]
    mean[3] *= _DETAIL
    least, most = mean.copy(), mean.copy()
    for number, plane in enumerate(mean):
        beside = apart if number < 3 else 0
        least[number] = cv2.erode(plane, _NEAR) - beside
        most[number] = cv2.dilate(plane, _NEAR) + beside
    return PatchGuide(*(words(planes.reshape(4, -1)) for planes in (mean, least, most)))
