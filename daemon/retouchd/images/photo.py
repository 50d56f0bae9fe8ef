"""A decoded photo: pixels, and everything else that its file said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retouchd.images.metadata import Metadata

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Allocate = Callable[[tuple[int, ...], str], NDArray[Any]]
"""Makes an array of a shape and a type, such as in shared memory."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One picture.

    pixels: [H, W, C], C-contiguous, uint8 or uint16 (full range), upright, in RGB order;
        C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA. Alpha is straight, not premultiplied.
        The array may be read-only.
    metadata: what the file said beside its pixels.
    notes: facts for the job's record, such as a channel that was not kept.
    """

    pixels: Pixels
    metadata: Metadata
    notes: tuple[str, ...] = ()

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.pixels.shape[2] in (2, 4)
