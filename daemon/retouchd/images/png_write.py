"""PNG files written part by part (W3C PNG, third edition), at 8 and 16 bits alike.

A library would want the whole picture once more in its own order of channels, and its way of
finding a row's filter, all five tried, takes more time than the compression. Here each group of
rows gets the filter that leaves least on a few of them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.images import png
from retouchd.images.deflating import Deflater
from retouchd.images.metadata import Metadata
from retouchd.images.photo import Pixels

Rows = NDArray[np.uint8]

_LEFT, _UP, _MEAN = 1, 2, 3
_COLOURS: Final = {1: png.GRAY, 2: png.GRAY_ALPHA, 3: png.RGB, 4: png.RGB_ALPHA}
_GROUP: Final = 1 << 19
_TRIED: Final = 4
_CHUNK: Final = 1 << 20


def write(pixels: Pixels, metadata: Metadata) -> bytes:
    """The file; pixels [H, W, C] as in Photo, stored exactly."""
    height, width, channels = pixels.shape
    depth = pixels.dtype.itemsize * 8
    start = struct.pack(">IIBBBBB", width, height, depth, _COLOURS[channels], 0, 0, 0)
    stream = io.BytesIO()
    stream.write(png.MAGIC)
    stream.write(png.chunk_bytes("IHDR", start))
    for kind, content in png.metadata_chunks(metadata):
        stream.write(png.chunk_bytes(kind, content))
    for data in _compressed(pixels):
        stream.write(png.chunk_bytes("IDAT", data))
    stream.write(png.chunk_bytes("IEND", b""))
    return stream.getvalue()


def _compressed(pixels: Pixels) -> Iterator[bytes]:
    """The zlib stream in pieces of about ``_CHUNK`` bytes."""
    out, stream = bytearray(), Deflater()
    for top, end in _groups(pixels, _GROUP):
        out += stream.compress(_filtered(pixels, top, end))
        if len(out) >= _CHUNK:
            yield bytes(out)
            out.clear()
    yield bytes(out + stream.flush())


def _groups(pixels: Pixels, size: int) -> Iterator[tuple[int, int]]:
    """First row, and the one behind the last, of parts of about ``size`` bytes."""
    rows = max(1, size // pixels[0].nbytes)
    for top in range(0, pixels.shape[0], rows):
        yield top, min(top + rows, pixels.shape[0])


def _filtered(pixels: Pixels, top: int, end: int) -> memoryview:
    """Rows top to end, each behind the number of the filter that all of them got."""
    rows, above = _bytes(pixels, top, end), _bytes(pixels, top - 1, end - 1)
    step = pixels.shape[2] * pixels.dtype.itemsize
    tried = np.s_[:: max(1, len(rows) // _TRIED)]
    kind = min((_LEFT, _UP, _MEAN), key=lambda k: _left_over(k, rows[tried], above[tried], step))
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = kind
    _lessen(kind, rows, above, step, out[:, 1:])
    return out.data


def _bytes(pixels: Pixels, top: int, end: int) -> Rows:
    """Rows as PNG has them, most significant byte first: [rows, bytes]; zeros above the first."""
    part, width = pixels[max(top, 0) : end], pixels[0].nbytes
    stored = part.astype(part.dtype.newbyteorder(">"), copy=False)
    rows = np.ascontiguousarray(stored).view(np.uint8).reshape(len(part), width)
    return rows if top >= 0 else np.concatenate([np.zeros((1, width), np.uint8), rows])


def _left_over(kind: int, rows: Rows, above: Rows, step: int) -> float:
    """The sum of the differences, each taken as the smaller way round."""
    differences = np.empty_like(rows)
    _lessen(kind, rows, above, step, differences)
    return cv2.norm(differences.view(np.int8), cv2.NORM_L1)


def _lessen(kind: int, rows: Rows, above: Rows, step: int, out: Rows) -> None:
    """Take off what a filter says: the byte a pixel to the left, the one above, or their mean."""
    if kind == _UP:
        np.subtract(rows, above, out=out)
        return
    left, rest = rows[:, :-step], rows[:, step:]
    if kind == _LEFT:
        out[:, :step] = rows[:, :step]
        np.subtract(rest, left, out=out[:, step:])
        return
    np.subtract(rows[:, :step], above[:, :step] >> 1, out=out[:, :step])
    # The mean, rounded down, without a ninth bit.
    mean = left ^ above[:, step:]
    mean >>= 1
    mean += left & above[:, step:]
    np.subtract(rest, mean, out=out[:, step:])
