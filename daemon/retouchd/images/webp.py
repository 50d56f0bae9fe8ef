"""WebP files as containers (RFC 9649): header, completeness, metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from retouchd.images import exif
from retouchd.images.header import Header
from retouchd.images.metadata import Metadata
from retouchd.images.source import Source

LONGEST_SIDE: Final = 16383
_ANIMATED, _ALPHA = 0x02, 0x10
_MOST_CHUNKS: Final = 100_000


@dataclass(frozen=True)
class Chunk:
    """Where a RIFF chunk's content lies."""

    kind: bytes
    offset: int
    length: int


def header(source: Source) -> Header:
    """The header; raises NotAnImage, Truncated, and Unsupported for an animated WebP."""
    found = list(_chunks(source))
    width, height, alpha = _picture(source, found)
    return Header(
        format="webp",
        width=width,
        height=height,
        mode="rgb",
        bit_depth=8,
        frames=1,
        has_alpha=alpha,
        orientation=exif.orientation(exif.bare(_content(source, found, b"EXIF"))),
    )


def _chunks(source: Source) -> Iterator[Chunk]:
    (length,) = source.unpack("<I", 4)
    end = 8 + length
    source.expect(end)
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > end:
            return
        kind, size = source.unpack("<4sI", at)
        if at + 8 + size > end:
            raise source.broken("a part of it is longer than the whole")
        yield Chunk(kind, at + 8, size)
        at += 8 + size + size % 2
    raise source.broken("it consists of too many parts")


def _picture(source: Source, found: list[Chunk]) -> tuple[int, int, bool]:
    """(width, height, whether there is alpha) of the still picture."""
    kinds = {chunk.kind: chunk for chunk in reversed(found)}
    extended = kinds.get(b"VP8X")
    flags = source.at(extended.offset, 1)[0] if extended else 0
    if flags & _ANIMATED or b"ANMF" in kinds:
        raise source.unsupported(
            "it is an animated WebP", "Drop a single picture instead of the animation."
        )
    if b"VP8L" in kinds:
        return _lossless(source, kinds[b"VP8L"])
    if b"VP8 " in kinds:
        width, height = _lossy(source, kinds[b"VP8 "])
        return width, height, bool(flags & _ALPHA) and b"ALPH" in kinds
    raise source.broken("it has no picture data")


def _lossless(source: Source, chunk: Chunk) -> tuple[int, int, bool]:
    signature, bits = source.unpack("<BI", chunk.offset)
    if signature != 0x2F:
        raise source.broken("its picture data has no header")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)


def _lossy(source: Source, chunk: Chunk) -> tuple[int, int]:
    start = source.at(chunk.offset, 10)
    width = int.from_bytes(start[6:8], "little") & 0x3FFF
    height = int.from_bytes(start[8:10], "little") & 0x3FFF
    if start[3:6] != b"\x9d\x01\x2a" or not width or not height:
        raise source.broken("its picture data has no header")
    return width, height


def check(source: Source) -> None:
    """Raise Truncated unless all that RIFF's length promises is there and written."""
    pictures = [chunk for chunk in _chunks(source) if chunk.kind in (b"VP8 ", b"VP8L", b"ANMF")]
    if not pictures:
        raise source.broken("it has no picture data")
    for chunk in pictures:
        source.expect_written(chunk.offset, chunk.offset + chunk.length)


def metadata(source: Source) -> Metadata:
    """What the chunks say; the EXIF block and XMP packet are as stored."""
    found = list(_chunks(source))
    return Metadata(
        format="webp",
        exif=exif.bare(_content(source, found, b"EXIF")),
        icc=_content(source, found, b"ICCP"),
        xmp=_content(source, found, b"XMP "),
        webp_lossless=any(chunk.kind == b"VP8L" for chunk in found),
    )


def _content(source: Source, found: list[Chunk], kind: bytes) -> bytes | None:
    for chunk in found:
        if chunk.kind == kind:
            return source.at(chunk.offset, chunk.length) or None
    return None
