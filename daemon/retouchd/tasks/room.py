"""Memory for a photo that is decoded here and worked on by other processes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retouchd.shared import SharedArray, allocate, attach, put

Pixels = NDArray[Any]

_LARGE = 1 << 28
"""Bytes. A photo below is decoded in private memory, which the kernel has in large pages, and
written over: a sixth of a JPEG's decoding less than mapping shared memory page by page. From here
on it must not be there twice."""


class Room:
    """Makes arrays for a decoder; the last one counts, and what is shared is put into a list."""

    def __init__(self, shared: list[SharedArray]) -> None:
        self._shared = shared
        self._inside: Pixels | None = None

    def __call__(self, shape: tuple[int, ...], dtype: str) -> Pixels:
        """An array, as ``np.empty`` makes one."""
        self._clear()
        if math.prod(shape) * np.dtype(dtype).itemsize < _LARGE:
            return np.empty(shape, dtype)
        array, self._inside = allocate(shape, dtype, at_once=True)
        self._shared.append(array)
        return self._inside

    def hold(self, pixels: Pixels) -> Pixels:
        """The pixels that were decoded, now in the list's only array; they may be read only."""
        if self._inside is not None and np.may_share_memory(pixels, self._inside):
            return pixels
        self._clear()
        self._shared.append(put(pixels))
        return attach(self._shared[0])

    def _clear(self) -> None:
        self._inside = None
        while self._shared:
            self._shared.pop().close()
