"""A JPEG at an eighth of its sides: a look at a whole picture for a part of a decode's cost.

The decoder still reads all of the entropy-coded data, but of each block only its mean.
"""

from __future__ import annotations

from typing import BinaryIO, Final, cast

import cv2
import numpy as np

from retouchd.images import jpeg
from retouchd.images.guard import codec
from retouchd.images.photo import Pixels
from retouchd.images.source import Source

SHARE: Final = 8
_GRAY: Final = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION


def decode_reduced(data: bytes | BinaryIO, name: str) -> Pixels:
    """A JPEG's pixels [ceil(H / 8), ceil(W / 8), 1 or 3] uint8, not turned.

    Each is the mean of 8 × 8 (for chroma, of the block that it is sampled in). Raises Truncated,
    NotAnImage, Unsupported or OutOfMemory.
    """
    with codec(name):
        source = Source.of(data, name)
        header = jpeg.header(source)
        jpeg.check(source)
        flags = _GRAY if header.mode == "gray" else _GRAY | cv2.IMREAD_COLOR_RGB
        found = cv2.imdecode(np.frombuffer(source.whole(), np.uint8), flags)
        if found is None:
            raise source.broken("its picture data is damaged")
        return cast(Pixels, found.reshape(*found.shape[:2], -1))
