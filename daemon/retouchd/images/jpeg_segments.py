"""The segments of a JPEG file before its first scan (ITU T.81, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from retouchd.images import exif
from retouchd.images.source import Source

EOI: Final = 0xD9
STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
PHOTOSHOP: Final = b"Photoshop 3.0\0"
IPTC: Final = 0x0404
SOS: Final = 0xDA
_DHT, _DQT, _COM = 0xC4, 0xDB, 0xFE
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDARD_AC_CODES: Final = 162
MOST: Final = 100_000
"""Segments, and fill bytes between them: a gigabyte of such would be walked for minutes."""
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_ICC: Final = b"ICC_PROFILE\0"

_ZIGZAG: Final = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
)  # fmt: skip


@dataclass(frozen=True)
class Component:
    """One colour component of a frame: its id, sampling factors and quantisation table."""

    id: int
    across: int
    down: int
    table: int


@dataclass
class Structure:
    """All that stands before the first scan. scan_at: where its data begin. scanned: how many
    components it has."""

    frame: int = 0
    precision: int = 0
    width: int = 0
    height: int = 0
    components: tuple[Component, ...] = ()
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    optimised: bool = False
    adobe: int | None = None
    jfif: tuple[int, int, int] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    icc: dict[int, bytes] = field(default_factory=dict)
    iptc: bytes | None = None
    comment: bytes | None = None
    scan_at: int = 0
    scanned: int = 0

    @property
    def is_rgb(self) -> bool:
        """Whether the components are R, G, B, by the rules of libjpeg."""
        if len(self.components) != 3 or self.jfif is not None:
            return False
        if self.adobe is not None:
            return self.adobe == 0
        return bytes(c.id for c in self.components) == b"RGB"


def read(source: Source) -> Structure:
    """Everything up to the first scan; raises NotAnImage or Truncated."""
    found = Structure()
    for marker, offset, length in _segments(source):
        if marker in _FRAMES and not found.frame:
            _read_frame(source, found, marker, source.at(offset, length))
        elif marker in _FRAMES:
            raise source.broken("it has two frame headers")
        elif marker == SOS:
            found.scan_at = offset + length
            found.scanned = source.at(offset, 1)[0]
        elif marker in (_DQT, _DHT, _COM) or 0xE0 <= marker <= 0xEF:
            _read_segment(found, marker, source.at(offset, length))
    if not found.components:
        raise source.broken("it has no frame header")
    return found


def _segments(source: Source) -> Iterator[tuple[int, int, int]]:
    """(marker, offset of the content, its length), up to and with the first scan's header."""
    at = 2
    for _ in range(MOST):
        lead, marker = source.at(at, 2)
        if lead != 0xFF:
            raise source.broken("its segments don't follow each other")
        if marker == 0xFF:
            at += 1
            continue
        at += 2
        if marker in STANDALONE:
            continue
        if marker in (0x00, 0xD8, EOI):
            raise source.broken("it has no picture data")
        (length,) = source.unpack(">H", at)
        if length < 2:
            raise source.broken("it has a segment of impossible length")
        yield marker, at + 2, length - 2
        at += length
        if marker == SOS:
            return
    raise source.broken("it consists of too many parts")


def _read_frame(source: Source, found: Structure, marker: int, data: bytes) -> None:
    if len(data) < 6 or len(data) < 6 + 3 * data[5]:
        raise source.broken("its frame header is too short")
    found.frame = marker
    found.precision, found.height, found.width, count = struct.unpack_from(">BHHB", data)
    parts = [data[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    found.components = tuple(Component(p[0], p[1] >> 4, p[1] & 15, p[2]) for p in parts)
    if not all(c.across and c.down for c in found.components):
        raise source.broken("its frame header is damaged")


def _read_segment(found: Structure, marker: int, data: bytes) -> None:
    if marker == _DQT:
        found.tables.update(_quantisation(data))
    elif marker == _DHT:
        found.optimised |= _has_own_codes(data)
    elif marker == _COM:
        found.comment = data
    elif marker == 0xE0 and data.startswith(b"JFIF\0") and len(data) >= 12:
        found.jfif = struct.unpack_from(">BHH", data, 7)
    elif marker == 0xE1 and data.startswith(exif.PREFIX) and found.exif is None:
        found.exif = exif.bare(data)
    elif marker == 0xE1 and data.startswith(_XMP):
        found.xmp = data[len(_XMP) :]
    elif marker == 0xE2 and data.startswith(_ICC) and len(data) > 14:
        found.icc[data[12]] = data[14:]
    elif marker == 0xED and data.startswith(PHOTOSHOP):
        found.iptc = _resource(data[len(PHOTOSHOP) :], IPTC) or found.iptc
    elif marker == 0xEE and data.startswith(b"Adobe") and len(data) >= 12:
        found.adobe = data[11]


def _quantisation(data: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    at = 0
    while at < len(data):
        wide, number = data[at] >> 4, data[at] & 15
        layout = ">64H" if wide else ">64B"
        if at + 1 + struct.calcsize(layout) > len(data):
            return
        values = struct.unpack_from(layout, data, at + 1)
        natural = [0] * 64
        for place, value in zip(_ZIGZAG, values, strict=True):
            natural[place] = value
        yield number, tuple(natural)
        at += 1 + struct.calcsize(layout)


def _has_own_codes(data: bytes) -> bool:
    """Whether an AC table has other than the 162 codes of the standard's example tables."""
    at = 0
    while at + 17 <= len(data):
        codes = sum(data[at + 1 : at + 17])
        if data[at] >> 4 and codes != _STANDARD_AC_CODES:
            return True
        at += 17 + codes
    return False


def _resource(data: bytes, wanted: int) -> bytes | None:
    """One of Photoshop's image resources (8BIM blocks)."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        (number,) = struct.unpack_from(">H", data, at + 4)
        name = (data[at + 6] | 1) + 1
        if at + 10 + name > len(data):
            return None
        (size,) = struct.unpack_from(">I", data, at + 6 + name)
        start = at + 10 + name
        if number == wanted:
            return data[start : start + size] or None
        at = start + size + size % 2
    return None
