"""Pure: a first guess of a small hole, peeled like an onion.

From its border inwards, each layer's pixels are what follows in the patches that look most like
what is known around them so far (Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL
2017). So a line enters the hole as a line; from a blur no patch would ever find it again.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from retouchd.patch_closest import closest
from retouchd.patch_level import REACH, PatchLevel


def peel(level: PatchLevel, random: Generator) -> None:
    """Paint a level's hole."""
    height, width = level.hole.shape
    known = ~level.hole
    while not known.all():
        ring = cv2.dilate(known.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
        layer = np.flatnonzero(ring & ~known)
        rows, columns = level.rows_columns(layer)
        middle = rows.clip(REACH, height - 1 - REACH) * width
        middle += columns.clip(REACH, width - 1 - REACH)
        best = closest(level, middle, random, known.ravel())
        level.pixels[:, layer] = level.pixels[:, best + (layer - middle)]
        known.ravel()[layer] = True
