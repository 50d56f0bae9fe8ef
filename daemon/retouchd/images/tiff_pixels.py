"""TIFF pixels of 16 bits, exact, for every lossless compression that libtiff knows.

Pillow reads 16-bit colour as 8 bits, and OpenCV misreads some layouts. So Pillow's libtiff only
undoes the compression here: the strips are presented as those of an 8-bit gray picture that is as
wide as a row has bytes. What the bytes mean (byte order, predictor, planes, tiles, white is zero,
premultiplied alpha) is sorted out in numpy.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from retouchd.images import tiff
from retouchd.images.guard import no_pixel_limit
from retouchd.images.ifd import Directory, long, pack, read_directory, read_start, short
from retouchd.images.photo import Allocate
from retouchd.images.source import Source

Bytes2d = NDArray[np.uint8]
Words = NDArray[np.uint16]

KINDS: Final = {
    5: "tiff_lzw",
    8: "tiff_adobe_deflate",
    32946: "tiff_adobe_deflate",
    32773: "packbits",
    34925: "lzma",
    50000: "zstd",
}
"""TIFF tag 259 to Pillow's name, for the lossless compressions of any kind of sample."""

_STRIP: Final = 1 << 16
_GROUP: Final = 1 << 21

_SAVE_ANEW: Final = "Save it anew with LZW, ZIP or no compression, and drop that."


def decode(page: Directory, allocate: Allocate) -> Words:
    """[H, W, C] uint16, not yet upright; C = 1 to 4; by ``allocate`` where it is simply stored.

    Raises NotAnImage, Truncated, Unsupported.
    """
    samples = _samples(page, _packing(page), allocate)
    return _meant(page, samples)


def decode_parts(page: Directory) -> Iterator[Words]:
    """The same rows, from the top on, in parts of a few megabytes where they lie in strips."""
    packing, count = _packing(page), page.integer(tiff.SAMPLES, 1)
    if tiff.TILES in page.entries or (page.integer(tiff.PLANAR, 1) == 2 and count > 1):
        yield decode(page, np.empty)
        return
    for part in _groups(page, packing, tiff.segments(page), count):
        yield _meant(page, part)


def _packing(page: Directory) -> int:
    """The compression, if it and the rest of how the samples are stored can be read."""
    packing = page.integer(tiff.COMPRESSION, 1)
    if packing != 1 and packing not in KINDS:
        raise page.source.unsupported(f"its compression (number {packing}) is rare", _SAVE_ANEW)
    if page.integer(tiff.FILL_ORDER, 1) != 1 or page.integer(tiff.PREDICTOR, 1) not in (1, 2):
        raise page.source.unsupported("its samples are stored in a rare way", _SAVE_ANEW)
    return packing


def _samples(page: Directory, packing: int, allocate: Allocate) -> Words:
    """[H, W, samples per pixel], native byte order, predictor undone."""
    count = page.integer(tiff.SAMPLES, 1)
    pieces = tiff.segments(page)
    if page.integer(tiff.PLANAR, 1) != 2 or count == 1:
        return _plane(page, packing, pieces, count, allocate)
    if len(pieces) % count:
        raise page.source.broken("its list of strips is damaged")
    share = len(pieces) // count
    planes = [
        _plane(page, packing, pieces[i * share : (i + 1) * share], 1, np.empty)
        for i in range(count)
    ]
    return np.concatenate(planes, axis=2)


def _plane(
    page: Directory, packing: int, pieces: list[tuple[int, int]], count: int, allocate: Allocate
) -> Words:
    if tiff.TILES in page.entries:
        return _tiled(page, packing, pieces, count)
    shape = (page.integer(tiff.HEIGHT, 0), page.integer(tiff.WIDTH, 0), count)
    samples: Words = allocate(shape, "uint16")
    top = 0
    for part in _groups(page, packing, pieces, count):
        samples[top : top + len(part)] = part
        top += len(part)
    return samples


def _groups(
    page: Directory, packing: int, pieces: list[tuple[int, int]], count: int
) -> Iterator[Words]:
    """The rows of some strips at a time: [rows, W, count]."""
    width, height = page.integer(tiff.WIDTH, 0), page.integer(tiff.HEIGHT, 0)
    rows = min(page.integer(tiff.ROWS_PER_STRIP, height), height) or height
    if len(pieces) != -(-height // rows):
        raise page.source.broken("its list of strips is damaged")
    few = max(1, _GROUP // max(1, rows * width * count * 2))
    for first in range(0, len(pieces), few):
        lines = min(few * rows, height - first * rows)
        shape = (lines, width * count * 2)
        plain = _unpack(page.source, packing, pieces[first : first + few], shape, rows)
        yield _words(page, plain.reshape(lines, width, count * 2))


def _tiled(page: Directory, packing: int, pieces: list[tuple[int, int]], count: int) -> Words:
    width, height = page.integer(tiff.WIDTH, 0), page.integer(tiff.HEIGHT, 0)
    across, down = page.integer(tiff.TILE_WIDTH, 0), page.integer(tiff.TILE_HEIGHT, 0)
    columns, rows = -(-width // across), -(-height // down)
    if len(pieces) != columns * rows:
        raise page.source.broken("its list of tiles is damaged")
    shape = (len(pieces) * down, across * count * 2)
    plain = _unpack(page.source, packing, pieces, shape, down)
    tiles = _words(page, plain.reshape(len(pieces) * down, across, count * 2))
    grid = tiles.reshape(rows, columns, down, across, count).transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * down, columns * across, count)[:height, :width]


def _unpack(
    source: Source, packing: int, pieces: list[tuple[int, int]], shape: tuple[int, int], rows: int
) -> Bytes2d:
    """The strips' plain bytes as [rows of all strips, bytes per row]."""
    if packing == 1:
        return _plain(source, pieces, shape, rows)
    data = [source.at(offset, size) for offset, size in pieces]
    stream = gray_tiff(data, packing, shape, rows)
    with no_pixel_limit(), TiffImagePlugin.TiffImageFile(stream) as image:
        return np.asarray(image)


def _plain(
    source: Source, pieces: list[tuple[int, int]], shape: tuple[int, int], rows: int
) -> Bytes2d:
    height, stride = shape
    parts = []
    for i, (offset, size) in enumerate(pieces):
        needed = min(rows, height - i * rows) * stride
        if size < needed:
            raise source.truncated("a strip is shorter than its rows need")
        parts.append(source.at(offset, needed))
    return np.frombuffer(b"".join(parts), np.uint8).reshape(shape)


def gray_tiff(data: list[bytes], packing: int, shape: tuple[int, int], rows: int) -> io.BytesIO:
    """A TIFF file around compressed strips, as if they were of an 8-bit gray picture."""
    sizes = [len(piece) for piece in data]
    offsets = (8 + np.cumsum([0, *sizes[:-1]])).tolist()
    end = 8 + sum(sizes)
    tags = {
        tiff.WIDTH: long("<", shape[1]),
        tiff.HEIGHT: long("<", shape[0]),
        tiff.BITS: short("<", 8),
        tiff.COMPRESSION: short("<", packing),
        tiff.PHOTOMETRIC: short("<", tiff.BLACK_IS_ZERO),
        tiff.STRIPS: long("<", *offsets),
        tiff.SAMPLES: short("<", 1),
        tiff.ROWS_PER_STRIP: long("<", rows),
        tiff.STRIP_SIZES: long("<", *sizes),
    }
    at = end + end % 2
    head = struct.pack("<2sHI", b"II", 42, at)
    return io.BytesIO(b"".join((head, *data, b"\0" * (end % 2), pack("<", tags, at))))


def rows_per_strip(stride: int) -> int:
    """How many rows of ``stride`` bytes ``compress`` makes a strip of."""
    return max(1, _STRIP // stride)


def compress(plain: Bytes2d, packing: int) -> list[bytes]:
    """[H, bytes per row] → compressed strips of ``rows_per_strip`` rows, by libtiff."""
    stream = io.BytesIO()
    rows = rows_per_strip(plain.shape[1])
    Image.fromarray(plain).save(
        stream, "TIFF", compression=KINDS[packing], strip_size=rows * plain.shape[1]
    )
    source = Source(stream, "a TIFF in memory")
    page = read_directory(source, *read_start(source))
    if min(rows, plain.shape[0]) != page.integer(tiff.ROWS_PER_STRIP, plain.shape[0]):
        raise ValueError("libtiff made strips of another size")
    return [source.at(offset, size) for offset, size in tiff.segments(page)]


def _words(page: Directory, plain: Bytes2d) -> Words:
    """Bytes [H, W, 2 × samples] → samples, with the horizontal differences summed up."""
    samples = plain.view(np.dtype(np.uint16).newbyteorder(page.order)).astype(np.uint16, copy=False)
    if page.integer(tiff.PREDICTOR, 1) == 2:
        samples = np.cumsum(samples, axis=1, dtype=np.uint16)
    return samples


def _meant(page: Directory, samples: Words) -> Words:
    """Only colour and alpha, black as zero, alpha straight."""
    base = tiff.colours(page)
    kind = tiff.alpha_kind(page)
    samples = np.ascontiguousarray(samples[..., : base + (kind is not None)])
    if page.integer(tiff.PHOTOMETRIC, 1) == tiff.WHITE_IS_ZERO:
        samples = samples.copy()
        samples[..., 0] = 65535 - samples[..., 0]
    return _straight(samples) if kind == 1 else samples


def _straight(samples: Words) -> Words:
    alpha = samples[..., -1:].astype(np.uint64)
    colour = samples[..., :-1].astype(np.uint64)
    whole = (colour * 65535 + alpha // 2) // np.maximum(alpha, 1)
    straight = samples.copy()
    straight[..., :-1] = np.minimum(whole, 65535) * (alpha > 0)
    return straight
