"""Pure: a first guess of a small hole, peeled like an onion.

From its border inwards, each layer's pixels are what follows in the patches that look most like
what is known around them so far (Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL
2017). So a line enters the hole as a line; from a blur no patch would ever find it again.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from retouchd.patch_level import REACH, SEEN, Index, PatchLevel

_PAIRS = 5_000_000  # that one layer may compare; of more sources, some are picked at random


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
        sources = _some(level.sources, _PAIRS // len(layer), random)
        best = _closest(level, middle, sources, known.ravel())
        level.pixels[:, layer] = level.pixels[:, best + (layer - middle)]
        known.ravel()[layer] = True


def _some(sources: Index, most: int, random: Generator) -> Index:
    if len(sources) <= most:
        return sources
    return random.choice(sources, max(1, most), replace=False)


def _closest(level: PatchLevel, middles: Index, sources: Index, known: NDArray[np.bool_]) -> Index:
    """For each patch the source that differs least from it where it is known."""
    # Σ k (a − b)² without what is the same for all b, as two products of matrices.
    seen = np.stack([known[middles + level.step(shift)] for shift in SEEN]).astype(np.float32)
    ours, theirs = (
        np.stack([level.pixels[:, which + level.step(shift)] for shift in SEEN])
        for which in (middles, sources)
    )  # [patch pixels, 4, n]
    masked = (ours * seen[:, None]).reshape(-1, len(middles))
    crossed = masked.T @ theirs.reshape(-1, len(sources))
    apart = seen.T @ np.square(theirs).sum(axis=1) - 2 * crossed
    found: Index = sources[apart.argmin(axis=1)]
    return found
