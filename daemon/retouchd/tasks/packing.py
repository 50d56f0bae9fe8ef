"""Many crops in one flat array: a message can carry only so many descriptors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Pixels = NDArray[Any]


def pack(crops: Sequence[Pixels], dtype: DTypeLike) -> Pixels:
    """The crops one behind the other, flat."""
    return np.concatenate([np.empty(0, dtype), *(crop.ravel() for crop in crops)])


def unpack(flat: Pixels, sizes: Sequence[Sequence[int]], channels: int) -> Iterator[Pixels]:
    """Views of the crops: [h, w, channels] each, or [h, w] for one channel."""
    start = 0
    for height, width in sizes:
        end = start + height * width * channels
        crop = flat[start:end].reshape(height, width, channels)
        yield crop if channels > 1 else crop[..., 0]
        start = end
