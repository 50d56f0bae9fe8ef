"""Windows bitmaps as containers (BITMAPINFOHEADER to V5): header, completeness, metadata."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from retouchd.images.header import Header
from retouchd.images.metadata import Metadata
from retouchd.images.source import Source

_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_INCH: Final = 0.0254
_FILE_HEADER, _V4 = 14, 108
_SRGB: Final = b"BGRs"


@dataclass(frozen=True)
class Bitmap:
    """A bitmap's header; ``stored`` is the size of RLE data, 0 if not said."""

    pixels_at: int
    width: int
    height: int
    bits: int
    packing: int
    stored: int
    dpi: tuple[float, float] | None
    alpha: bool


def read(source: Source) -> Bitmap:
    """The header; raises NotAnImage, Truncated, or Unsupported for an embedded JPEG or PNG."""
    pixels_at, size = source.unpack("<II", 10)
    if size == 12:
        width, height, _, bits = source.unpack("<HHHH", 18)
        found = Bitmap(pixels_at, width, height, bits, _RGB, 0, None, False)
    elif 40 <= size <= 1024:
        found = _read_info(source, pixels_at, size)
    else:
        raise source.broken("its bitmap header is of an unknown kind")
    if found.width <= 0 or found.height == 0 or found.bits not in (1, 4, 8, 16, 24, 32):
        raise source.broken("its bitmap header is damaged")
    if found.packing not in (_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS):
        raise source.unsupported("it is a bitmap of a rare kind", "Save it as PNG and drop that.")
    return found


def _read_info(source: Source, pixels_at: int, size: int) -> Bitmap:
    width, height, _, bits, packing, stored, across, down = source.unpack("<iiHHIIii", 18)
    alpha = 0
    if packing in (_FIELDS, _ALPHA_FIELDS) and (size >= 56 or packing == _ALPHA_FIELDS):
        (alpha,) = source.unpack("<I", 66)
    dpi = (across * _INCH, down * _INCH) if across > 0 and down > 0 else None
    has_alpha = bits == 32 and bool(alpha)
    return Bitmap(pixels_at, width, abs(height), bits, packing, stored, dpi, has_alpha)


def header(source: Source) -> Header:
    """The header; see ``read``."""
    found = read(source)
    return Header(
        format="bmp",
        width=found.width,
        height=found.height,
        mode="rgb" if found.bits > 8 else "palette",
        bit_depth=8,
        frames=1,
        has_alpha=found.alpha,
        orientation=1,
    )


def check(source: Source) -> None:
    """Raise Truncated unless all rows (or all of the RLE data) are there."""
    found = read(source)
    if found.packing in (_RLE8, _RLE4):
        source.expect(found.pixels_at + found.stored)
        return
    stride = (found.width * found.bits + 31) // 32 * 4
    source.expect(found.pixels_at + stride * found.height)


def metadata(source: Source) -> Metadata:
    """A bitmap says little: its resolution."""
    return Metadata(format="bmp", dpi=read(source).dpi)


def rgba_header(width: int, height: int, dpi: tuple[float, float] | None) -> bytes:
    """File and V4 headers of a bottom-up 32-bit bitmap with alpha, stored as B, G, R, A."""
    across, down = (0, 0) if dpi is None else (round(side / _INCH) for side in dpi)
    stored = width * height * 4
    start = _FILE_HEADER + _V4
    info = struct.pack(
        "<IiiHHIIiiII", _V4, width, height, 1, 32, _FIELDS, stored, across, down, 0, 0
    )
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    colour = _SRGB + b"\0" * 48
    return struct.pack("<2sIHHI", b"BM", start + stored, 0, 0, start) + info + masks + colour
