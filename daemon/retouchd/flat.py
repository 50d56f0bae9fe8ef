"""The model ``flat``: fills with one colour. For tests and dry runs, not for photos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.samples import Unit, is_hole, to_unit


def fill(image: Pixels, mask: NDArray[np.uint8]) -> Unit:
    """The image with its hole in the mean colour of its known pixels; mid-grey if it has none.

    image: [H, W, 3] uint8 or uint16. mask: [H, W] uint8, 255 in the hole.
    Returns [H, W, 3] float32 in [0, 1].
    """
    hole = is_hole(mask)
    filled = to_unit(image)
    known = filled[~hole]
    filled[hole] = known.mean(axis=0, dtype=np.float64) if len(known) else 0.5
    return filled
