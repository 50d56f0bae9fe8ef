"""Whether a PNG file holds certain pixels, without decoding it into a picture of its own.

A filtered row says what to add to the rows before and to the pixels on the left (W3C PNG, third
edition, chapter 9). Where those are the pixels that were meant, adding what was meant of them is
adding what a decoder has of them; so from the top on, and from left to right, a file decodes to
what was meant if each of these sums is what was meant. Thus all bytes of many rows are looked at
together, and nothing is as large as the photo. They are inflated by zlib-ng, in half of
zlib's time, and not by the library that deflated them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from retouchd.images import png
from retouchd.images.guard import codec
from retouchd.images.photo import Pixels
from retouchd.images.source import Source

Rows = NDArray[np.uint8]

_KINDS: Final = {1: png.GRAY, 2: png.GRAY_ALPHA, 3: png.RGB, 4: png.RGB_ALPHA}
_NONE, _LEFT, _UP, _MEAN = range(4)
_GROUP: Final = 1 << 18  # bytes of rows that are looked at together


def holds(file: BinaryIO, name: str, pixels: Pixels) -> bool | None:
    """Whether a PNG file decodes to just these pixels [H, W, C], in depth and kind as well.

    None for files of which that can't be told so: interlaced or turned ones, those with a palette
    or a colour that means transparent, and those with a Paeth filter. Where it is true, all
    checksums are right. Raises as ``decode`` does: NotAnImage, Truncated, or a TransientError where
    the file can't be read.
    """
    with codec(name):
        source = Source(file, name)
        height, width, channels = pixels.shape
        wanted = png.Frame(width, height, 8 * pixels.dtype.itemsize, _KINDS[channels], False)
        kinds = {chunk.kind for chunk in png.chunks(source)}
        if {"PLTE", "tRNS"} & kinds or png.header(source).orientation != 1:
            return None
        frame = png.frame(source)
        if frame != wanted:
            return None if frame.interlaced else False
        return _same(_inflated(source, _group(pixels)), pixels)


def _stride(pixels: Pixels) -> int:
    return 1 + int(pixels[0].nbytes)


def _group(pixels: Pixels) -> int:
    """Bytes of some whole rows."""
    stride = _stride(pixels)
    return stride * max(1, _GROUP // stride)


def _inflated(source: Source, size: int) -> Iterator[bytes]:
    """The filtered picture in parts of ``size`` bytes, and a last one; checks every checksum."""
    inflater, held, count = zlib_ng.decompressobj(), list[bytes](), 0
    for kind, data in png.sound_parts(source):
        left = data if kind == "IDAT" else b""
        while left:
            held.append(inflater.decompress(left, size - count))
            count, left = count + len(held[-1]), inflater.unconsumed_tail
            if count == size:
                yield b"".join(held)
                held, count = [], 0
    yield b"".join([*held, inflater.flush()])
    if not inflater.eof:
        raise source.truncated("its picture data ends before the last row")
    if inflater.unused_data:
        raise source.broken("its picture data goes on behind its end")


def _same(parts: Iterable[bytes], pixels: Pixels) -> bool | None:
    stride, top = _stride(pixels), 0
    for part in parts:
        count, over = divmod(len(part), stride)
        if over or top + count > pixels.shape[0]:
            return False
        rows = np.frombuffer(part, np.uint8).reshape(count, stride)
        same = _same_rows(rows, pixels, top)
        if not same:
            return same
        top += count
    return bool(top == pixels.shape[0])


def _same_rows(rows: Rows, pixels: Pixels, top: int) -> bool | None:
    """Of rows with the number of their filter first; all above them are known to be the same."""
    changes = np.flatnonzero(rows[1:, 0] != rows[:-1, 0]) + 1
    for first, end in pairwise([0, *changes.tolist(), len(rows)] if len(rows) else []):
        kind = int(rows[first, 0])
        if kind > _MEAN:
            return None
        if not _adds_up(kind, rows[first:end, 1:], pixels, top + first):
            return False
    return True


def _adds_up(kind: int, filtered: Rows, pixels: Pixels, top: int) -> bool:
    """Whether filtered rows and what was meant of their neighbours add up to what was meant."""
    step = pixels.shape[2] * pixels.dtype.itemsize
    meant = _stored(pixels[top : top + len(filtered)])
    if kind == _NONE:
        return np.array_equal(filtered, meant)
    if kind == _LEFT:
        start = np.array_equal(filtered[:, :step], meant[:, :step])
        return start and np.array_equal(filtered[:, step:] + meant[:, :-step], meant[:, step:])
    above = _above(pixels, top, len(filtered))
    if kind == _UP:
        return np.array_equal(filtered + above, meant)
    if not np.array_equal(filtered[:, :step] + (above[:, :step] >> 1), meant[:, :step]):
        return False
    # Half of the sum, rounded down: the bits that both have, and half of those that one has.
    left, above = meant[:, :-step], above[:, step:]
    found = left ^ above
    found >>= 1
    found += left & above
    found += filtered[:, step:]
    return np.array_equal(found, meant[:, step:])


def _stored(part: Pixels) -> Rows:
    """Rows [n, bytes] as PNG has them, most significant byte first."""
    large = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(">"), copy=False))
    return large.view(np.uint8).reshape(len(part), part.shape[1] * part.shape[2] * part.itemsize)


def _above(pixels: Pixels, top: int, count: int) -> Rows:
    """The rows above some; above the first there are zeros."""
    rows = _stored(pixels[max(0, top - 1) : top + count - 1])
    return rows if top else np.concatenate([np.zeros((1, pixels[0].nbytes), np.uint8), rows])
