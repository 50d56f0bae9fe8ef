"""OpenCV as a decoder: straight into an array, in RGB order, not turned.

``cv2.imdecode`` decodes into memory of its own and copies that. ``cv2.imread`` fills an array that
it is given, but says nothing where it does not even understand the header, so the array's end is
marked. Whatever it can't do, ``imdecode`` is asked again, for an answer that can be relied on.
"""

from __future__ import annotations

import os
from typing import Final, cast

import cv2
import numpy as np

from retouchd.images.header import Header
from retouchd.images.photo import Allocate, Pixels
from retouchd.images.source import Source

_LARGE: Final = 1 << 18
_MARK: Final = 32
_EXACT: Final = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def read(source: Source, header: Header, allocate: Allocate) -> Pixels | None:
    """[H, W, C], None for what OpenCV does not read.

    Gray gives C = 1 (with alpha 4), others 3 or 4. The array is by ``allocate`` unless the picture
    is small or not what its header says.
    """
    gray = header.mode == "gray" and not header.has_alpha
    direct = header.format in ("jpeg", "png") and not header.has_alpha
    flags = (cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR_RGB) | _EXACT
    flags = flags if direct else cv2.IMREAD_UNCHANGED
    shape = (header.height, header.width, 1 if gray else 3 + header.has_alpha)
    pixels = _filled(source, shape, header.bit_depth, flags, allocate)
    if pixels is None:
        pixels = _decoded(source.whole(), flags)
    return pixels if direct or pixels is None else _rgb(pixels)


def decoded(data: bytes) -> Pixels | None:
    """[H, W, C] as it is stored, in an array of OpenCV's."""
    pixels = _decoded(data, cv2.IMREAD_UNCHANGED)
    return None if pixels is None else _rgb(pixels)


def _decoded(data: bytes, flags: int) -> Pixels | None:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return None if found is None else cast(Pixels, found.reshape(*found.shape[:2], -1))


def _rgb(pixels: Pixels) -> Pixels:
    """From OpenCV's order, in place."""
    if pixels.shape[2] == 1:
        return pixels
    swap = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return cast(Pixels, cv2.cvtColor(pixels, swap, dst=pixels))


def _filled(
    source: Source, shape: tuple[int, ...], depth: int, flags: int, allocate: Allocate
) -> Pixels | None:
    """The picture in an array of just this shape and depth, None where it is another."""
    kind = "uint16" if depth > 8 else "uint8"
    if np.dtype(kind).itemsize * shape[0] * shape[1] * shape[2] < _LARGE:
        return None
    pixels = allocate(shape, kind)
    end = pixels.reshape(-1).view(np.uint8)[-_MARK:]
    mark = os.urandom(_MARK)
    end[:] = np.frombuffer(mark, np.uint8)
    try:
        with source.named() as path:
            found = cv2.imread(path, pixels, flags)
    except cv2.error:
        return None
    done = found is not None and np.may_share_memory(found, pixels) and end.tobytes() != mark
    return cast(Pixels, pixels) if done else None
