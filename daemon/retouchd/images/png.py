"""PNG files as containers (W3C PNG, third edition): header, completeness, metadata, chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from retouchd.images import exif
from retouchd.images.header import Header
from retouchd.images.metadata import Metadata
from retouchd.images.source import Source

MAGIC: Final = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_MODES: Final = {GRAY: "gray", RGB: "rgb", PALETTE: "palette", GRAY_ALPHA: "gray", RGB_ALPHA: "rgb"}
_DEPTHS: Final = {
    GRAY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GRAY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
_SAMPLES: Final = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
_ADAM7: Final = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
    (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
)  # fmt: skip
_BLOCK: Final = 1 << 16
_MOST_CHUNKS: Final = 1 << 18
_KEPT: Final = ("gAMA", "cHRM", "sRGB", "cICP", "tEXt", "zTXt", "iTXt")
_XMP: Final = b"XML:com.adobe.xmp"
_INCH: Final = 0.0254
_LARGEST: Final = 16 << 20


@dataclass(frozen=True)
class Chunk:
    """Where a chunk's content lies."""

    kind: str
    offset: int
    length: int


@dataclass(frozen=True)
class Frame:
    """The IHDR chunk: sides in pixels, bits per sample, colour type, and Adam7 interlacing."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool


def header(source: Source) -> Header:
    """The header; raises NotAnImage, Truncated, and Unsupported for an animated PNG."""
    found = chunks(source)
    start = frame(source)
    kinds = {chunk.kind for chunk in found}
    _refuse_animation(source, found)
    return Header(
        format="png",
        width=start.width,
        height=start.height,
        mode=_MODES[start.colour],
        bit_depth=16 if start.depth == 16 else 8,
        frames=1,
        has_alpha=start.colour in (GRAY_ALPHA, RGB_ALPHA) or "tRNS" in kinds,
        orientation=exif.orientation(_exif(source, found)),
    )


def frame(source: Source) -> Frame:
    """The IHDR chunk, checked."""
    length, kind, width, height, depth, colour, packing, filters, lace = source.unpack(
        ">I4sIIBBBBB", 8
    )
    if kind != b"IHDR" or length != 13:
        raise source.broken("it doesn't start with a PNG header")
    if not 0 < width < 2**31 or not 0 < height < 2**31:
        raise source.broken("its width or height is impossible")
    if depth not in _DEPTHS.get(colour, ()) or packing or filters or lace > 1:
        raise source.broken("its PNG header is damaged")
    return Frame(width, height, depth, colour, bool(lace))


def chunks(source: Source) -> list[Chunk]:
    """Every chunk up to and with IEND; raises Truncated where the file ends before it."""
    return source.kept("chunks", lambda: list(_walked(source)))


def _walked(source: Source) -> Iterator[Chunk]:
    at = len(MAGIC)
    for _ in range(_MOST_CHUNKS):
        length, kind = source.unpack(">I4s", at)
        if not kind.isalpha():
            if not any(kind):
                raise source.truncated("its end is still empty, as if the copy were not finished")
            raise source.broken("its PNG chunks don't follow each other")
        source.expect(at + 12 + length)
        yield Chunk(kind.decode("latin-1"), at + 8, length)
        at += 12 + length
        if kind == b"IEND":
            return
    raise source.broken("it consists of too many parts")


def _refuse_animation(source: Source, found: Iterable[Chunk]) -> None:
    for chunk in found:
        if chunk.kind == "acTL" and chunk.length >= 4 and source.unpack(">I", chunk.offset)[0] > 1:
            raise source.unsupported(
                "it is an animated PNG", "Drop a single picture instead of the animation."
            )


def check(source: Source) -> None:
    """Raise Truncated unless all chunks up to IEND are there, and picture data among them."""
    frame(source)
    kinds = {chunk.kind for chunk in chunks(source)}
    if "IDAT" not in kinds:
        raise source.broken("it has no picture data")


def check_sums(source: Source) -> None:
    """Raise NotAnImage if a chunk doesn't match its checksum."""
    for _ in sound_parts(source):
        pass


def sound_parts(source: Source) -> Iterator[tuple[str, bytes]]:
    """The content of all chunks in pieces, each with its chunk's kind; raises NotAnImage behind a
    chunk that doesn't match its checksum."""
    for chunk in chunks(source):
        found, end = zlib.crc32(chunk.kind.encode("latin-1")), chunk.offset + chunk.length
        for at in range(chunk.offset, end, _BLOCK):
            part = source.at(at, min(end - at, _BLOCK))
            found = zlib.crc32(part, found)
            yield chunk.kind, part
        if found != int.from_bytes(source.at(end, 4), "big"):
            raise source.broken(f"its {chunk.kind} data is damaged (wrong checksum)")


def check_rows(source: Source) -> None:
    """Raise Truncated if the compressed data holds fewer rows than the header says.

    OpenCV refuses such a file; Pillow fills it up with black.
    """
    start = frame(source)
    missing = sum(_rows(start))
    inflater = zlib.decompressobj()
    for chunk in chunks(source):
        if chunk.kind != "IDAT":
            continue
        data = source.at(chunk.offset, chunk.length)
        while data and missing > 0:
            missing -= len(inflater.decompress(data, _BLOCK))
            data = inflater.unconsumed_tail
    if missing > 0:
        raise source.truncated("its picture data ends before the last row")


def _rows(start: Frame) -> Iterator[int]:
    """Bytes of each pass of the filtered picture; one pass unless it is interlaced (Adam7)."""
    bits = start.depth * _SAMPLES[start.colour]
    for x, y, across, down in _ADAM7 if start.interlaced else ((0, 0, 1, 1),):
        width = max(0, -(-(start.width - x) // across))
        height = max(0, -(-(start.height - y) // down))
        if width:
            yield height * (1 + (width * bits + 7) // 8)


def transparent_gray(source: Source) -> int | None:
    """The stored gray value that means transparent (tRNS), as an 8-bit or 16-bit sample."""
    start = frame(source)
    for chunk in chunks(source):
        if chunk.kind == "tRNS" and start.colour == GRAY and chunk.length >= 2:
            value = int(source.unpack(">H", chunk.offset)[0]) & ((1 << start.depth) - 1)
            return value if start.depth >= 8 else value * 255 // ((1 << start.depth) - 1)
    return None


def metadata(source: Source) -> Metadata:
    """What the chunks say; the EXIF block and XMP packet are as stored."""
    found = chunks(source)
    texts = [chunk for chunk in found if chunk.kind in _KEPT and chunk.length <= _LARGEST]
    contents = [(chunk.kind, source.at(chunk.offset, chunk.length)) for chunk in texts]
    return Metadata(
        format="png",
        bit_depth=16 if frame(source).depth == 16 else 8,
        exif=_exif(source, found),
        icc=_icc(source, found),
        xmp=next((packet for _, data in contents if (packet := _xmp(data))), None),
        dpi=_dpi(source, found),
        chunks=tuple(item for item in contents if not item[1].startswith(_XMP + b"\0")),
    )


def _first(source: Source, found: Iterable[Chunk], kind: str) -> bytes | None:
    for chunk in found:
        if chunk.kind == kind and chunk.length <= _LARGEST:
            return source.at(chunk.offset, chunk.length)
    return None


def _exif(source: Source, found: Iterable[Chunk]) -> bytes | None:
    return exif.bare(_first(source, found, "eXIf"))


def _icc(source: Source, found: Iterable[Chunk]) -> bytes | None:
    content = _first(source, found, "iCCP")
    return None if content is None else _inflated(content.partition(b"\0")[2][1:])


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, _LARGEST)
    except zlib.error:
        return None
    return plain if inflater.eof and plain else None


def _xmp(data: bytes) -> bytes | None:
    key, _, rest = data.partition(b"\0")
    if key != _XMP or len(rest) < 2:
        return None
    packet = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return _inflated(packet) if rest[0] else packet or None


def _dpi(source: Source, found: Iterable[Chunk]) -> tuple[float, float] | None:
    content = _first(source, found, "pHYs")
    if content is None or len(content) != 9 or content[8] != 1:
        return None
    across, down = struct.unpack_from(">II", content)
    return (across * _INCH, down * _INCH) if across and down else None


def metadata_chunks(metadata: Metadata) -> list[tuple[str, bytes]]:
    """The chunks that hold this metadata, in the order that PNG asks for."""
    made: list[tuple[str, bytes]] = []
    if metadata.icc is not None:
        made.append(("iCCP", b"icc\0\0" + zlib.compress(metadata.icc)))
    made += [
        item for item in metadata.chunks if not (item[0] == "sRGB" and metadata.icc is not None)
    ]
    if metadata.dpi is not None:
        across, down = (max(1, min(2**31 - 1, round(side / _INCH))) for side in metadata.dpi)
        made.append(("pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.xmp is not None:
        made.append(("iTXt", _XMP + b"\0\0\0\0\0" + metadata.xmp))
    if metadata.exif is not None:
        made.append(("eXIf", metadata.exif))
    return made


def with_frame(data: bytes | memoryview, depth: int, colour: int) -> bytes:
    """A PNG file whose samples are read as another depth and colour type.

    PNG filters whole bytes at a distance of one pixel, so types with equally many bytes per pixel
    are interchangeable: 8-bit gray and alpha is 16-bit gray, 16-bit gray and alpha is 8-bit RGBA.
    """
    view = memoryview(data)
    body = bytes(view[16:24]) + bytes((depth, colour)) + bytes(view[26:29])
    return b"".join((view[:8], chunk_bytes("IHDR", body), view[33:]))


def chunk_bytes(kind: str, content: bytes) -> bytes:
    """One chunk with its length and checksum."""
    body = kind.encode("ascii") + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
