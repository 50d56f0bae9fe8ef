"""TIFF files written with all their metadata, at 8 and 16 bits alike.

Pillow can't write 16-bit colour, and neither tifffile (without further packages) nor OpenCV write
LZW together with EXIF; so zlib, or libtiff (see ``tiff_pixels``), compresses the rows, group by
group, and the directories are laid out here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retouchd.images import exif, tiff, tiff_pixels
from retouchd.images.deflating import deflated
from retouchd.images.ifd import Order, Value, long, pack_tree, short
from retouchd.images.metadata import Metadata
from retouchd.images.photo import Pixels

DEFLATE: Final = 8
_DIFFERENCED: Final = frozenset({5, 8, 50000})
_HEAD: Final = 8
_OUR_STRIP: Final = 1 << 18
_GROUP: Final = 64
_LIMIT: Final = 2**32 - (1 << 20)
_STRAIGHT_ALPHA: Final = 2


def compression_for(metadata: Metadata) -> int:
    """The source's compression if it is lossless and of use here, else deflate."""
    kind = metadata.tiff_compression
    if kind == 1:
        return 1
    if kind == 32946 or kind not in tiff_pixels.KINDS:
        return DEFLATE
    return kind


def write(pixels: Pixels, metadata: Metadata) -> bytes:
    """The file; pixels [H, W, C] as in Photo. Raises ValueError beyond 4 GB."""
    packing = compression_for(metadata)
    order: Order = "<"
    top: dict[int, Value] = {}
    parts: dict[int, dict[int, Value]] = {}
    if metadata.exif is not None:
        order, top, parts = exif.for_tiff(metadata.exif)
    stream, sizes = io.BytesIO(b"\0" * _HEAD), []
    stream.seek(_HEAD)
    for piece in _strips(pixels, order, packing):
        sizes.append(len(piece))
        stream.write(piece)
    end = stream.tell()
    if end > _LIMIT:
        raise ValueError("a TIFF holds at most 4 GB")
    offsets = (_HEAD + np.cumsum([0, *sizes[:-1]])).tolist()
    top |= _layout(pixels, order, packing) | _beside(metadata, order)
    top |= {tiff.STRIPS: long(order, *offsets), tiff.STRIP_SIZES: long(order, *sizes)}
    body, start = pack_tree(order, top, parts, end + end % 2)
    stream.write(b"\0" * (end % 2) + body)
    stream.seek(0)
    stream.write(struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, start))
    return stream.getvalue()


def _rows(pixels: Pixels, packing: int) -> int:
    """How many rows make a strip."""
    stride: int = pixels[0].nbytes
    if packing in (1, DEFLATE):
        return max(1, _OUR_STRIP // stride)
    return tiff_pixels.rows_per_strip(stride)


def _strips(pixels: Pixels, order: Order, packing: int) -> Iterator[bytes]:
    """The compressed strips, from the top on."""
    rows = _rows(pixels, packing)
    if packing == 1:
        for part in _parts(pixels, rows):
            yield _stored(part, order, packing).tobytes()
    elif packing == DEFLATE:
        for part in _parts(pixels, rows):
            yield deflated(_stored(part, order, packing).data)
    else:
        for part in _parts(pixels, _GROUP * rows):
            yield from tiff_pixels.compress(_stored(part, order, packing), packing)


def _parts(pixels: Pixels, rows: int) -> Iterator[Pixels]:
    for top in range(0, pixels.shape[0], rows):
        yield pixels[top : top + rows]


def _stored(part: Pixels, order: Order, packing: int) -> NDArray[np.uint8]:
    """Rows as bytes [rows, bytes], with the predictor applied."""
    if packing in _DIFFERENCED:
        differences = part.copy()
        # Unsigned overflow is what TIFF's predictor asks for.
        np.subtract(part[:, 1:], part[:, :-1], out=differences[:, 1:])
        part = differences
    stored = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(order), copy=False))
    return stored.view(np.uint8).reshape(part.shape[0], -1)


def _layout(pixels: Pixels, order: Order, packing: int) -> dict[int, Value]:
    height, width, channels = pixels.shape
    gray = channels <= 2
    tags = {
        tiff.WIDTH: long(order, width),
        tiff.HEIGHT: long(order, height),
        tiff.BITS: short(order, *[pixels.dtype.itemsize * 8] * channels),
        tiff.COMPRESSION: short(order, packing),
        tiff.PHOTOMETRIC: short(order, tiff.BLACK_IS_ZERO if gray else tiff.RGB),
        tiff.SAMPLES: short(order, channels),
        tiff.ROWS_PER_STRIP: long(order, _rows(pixels, packing)),
        tiff.PLANAR: short(order, 1),
    }
    if packing in _DIFFERENCED:
        tags[tiff.PREDICTOR] = short(order, 2)
    if channels in (2, 4):
        tags[tiff.EXTRA_SAMPLES] = short(order, _STRAIGHT_ALPHA)
    return tags


def _beside(metadata: Metadata, order: Order) -> dict[int, Value]:
    tags: dict[int, Value] = {}
    for tag, content in (
        (tiff.XMP, metadata.xmp),
        (tiff.IPTC, metadata.iptc),
        (tiff.ICC, metadata.icc),
    ):
        if content is not None:
            tags[tag] = (1 if tag == tiff.XMP else 7, len(content), content)
    if metadata.dpi is not None:
        tags[282], tags[283] = (_fraction(order, side) for side in metadata.dpi)
        tags[296] = short(order, 2)
    return tags


def _fraction(order: Order, value: float) -> Value:
    exact = Fraction(value).limit_denominator(10_000)
    return 5, 1, struct.pack(f"{order}II", min(exact.numerator, 2**32 - 1), exact.denominator)
