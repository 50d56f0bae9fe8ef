"""Small files that ask for much: memory, or time. Each says that it is 96 × 72 pixels, or lies."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helpers.kinds import photos, saved


@dataclass(frozen=True)
class Bomb:
    """suffix: with its dot. make: gives the file. sound: whether the picture in it can be used."""

    suffix: str
    make: Callable[[], bytes]
    sound: bool = False


def _zeros(size: int) -> bytes:
    """A zlib stream of so many zeros."""
    packer = zlib.compressobj(1)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(size >> 20)]
    return b"".join((*parts, packer.compress(bytes(size % (1 << 20))), packer.flush()))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """With its length and checksum."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _png(width: int, height: int, *chunks: bytes, colour: int = 0, bits: int = 8) -> bytes:
    frame = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (png_chunk(b"IHDR", frame), *chunks, png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _rows() -> bytes:
    return png_chunk(b"IDAT", zlib.compress(bytes(72 * 97)))


def _behind_the_rows() -> bytes:
    """Behind the picture's rows, in the same stream, a quarter of a gigabyte follows."""
    return _png(96, 72, png_chunk(b"IDAT", _zeros(1 << 28)))


def _of_palette() -> bytes:
    """The same through another decoder."""
    colours = png_chunk(b"PLTE", bytes(30))
    return _png(96, 72, colours, png_chunk(b"IDAT", _zeros(1 << 28)), colour=3)


def _inflating_texts() -> bytes:
    packed = _zeros(16 << 20)
    profile = png_chunk(b"iCCP", b"icc\0\0" + _zeros(1 << 28))
    texts = [png_chunk(b"zTXt", b"Comment\0\0" + packed) for _ in range(40)]
    packet = b"XML:com.adobe.xmp\0\1\0\0\0" + packed
    return _png(96, 72, profile, *texts, png_chunk(b"iTXt", packet), _rows())


def _many_chunks() -> bytes:
    return _png(96, 72, *[png_chunk(b"tEXt", b"a\0b")] * 400_000, _rows())


def tiff(tags: dict[int, tuple[int, int, int]], content: bytes = b"") -> bytes:
    """Little-endian. tags: (type, count, value or offset); the content lies at 8, the directory
    behind it."""
    at = 8 + len(content) + len(content) % 2
    head = struct.pack("<2sHI", b"II", 42, at) + content.ljust(at - 8, b"\0")
    table = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    return head + struct.pack("<H", len(tags)) + table + b"\0\0\0\0"


def _tiff_tags(**more: int) -> dict[int, tuple[int, int, int]]:
    plain = {256: 96, 257: 72, 258: 8, 259: 1, 262: 1, 277: 1}
    plain |= {int(tag.removeprefix("t")): value for tag, value in more.items()}
    return {tag: (4 if value > 65535 else 3, 1, value) for tag, value in plain.items()}


def _huge_tiles(bits: int) -> bytes:
    """One tile of 268 megapixels, of which the picture is a corner."""
    side = 16384
    data = _zeros(side * side * bits // 8)
    tags = _tiff_tags(t258=bits, t259=8, t322=side, t323=side)
    return tiff(tags | {324: (4, 1, 8), 325: (4, 1, len(data))}, data)


def _overlapping_pages() -> bytes:
    """10,000 directories of 65,535 tags each, nearly all of them shared."""
    count, pages, step = 65_535, 10_000, 14
    body = bytearray(8 + pages * step + 2 + 12 * count + 4 + pages * step)
    struct.pack_into("<2sHI", body, 0, b"II", 42, 8)
    for page in range(pages):
        at = 8 + page * step
        struct.pack_into("<H", body, at, count)
        following = at + step if page < pages - 1 else 0
        struct.pack_into("<I", body, at + 2 + 12 * count, following)
    return bytes(body)


def _shared_values() -> bytes:
    """65,000 tags with one value of 8 MB."""
    pixels = photos()["bmp, palette"].data[-96 * 72 :]
    content = pixels + bytes(7 << 20)
    tags = _tiff_tags(t273=8, t279=96 * 72)
    tags |= {number: (7, 7 << 20, 8 + len(pixels)) for number in range(50_800, 65_500)}
    return tiff(tags, content)


def _listed_strips() -> bytes:
    """A list of four million strips for a picture of 72 rows."""
    count = 4_000_000
    content = struct.pack("<I", 8) * count
    tags = _tiff_tags()
    tags |= dict.fromkeys((258, 273, 279, 338, 339), (4, count, 8))
    return tiff(tags, content)


def _many_segments() -> bytes:
    """Behind the scan half a million segments, none of them the end."""
    data = photos()["jpeg"].data
    return data[:-2] + b"\xff\xe0\x00\x02" * 500_000 + b"junk"


def _filled_up() -> bytes:
    """Sixteen million fill bytes before the first segment."""
    data = photos()["jpeg"].data
    return data[:2] + b"\xff" * (16 << 20) + data[2:]


def _many_scans() -> bytes:
    """A progressive JPEG, 1000 × 1000, in which one coefficient is refined 20,000 times."""
    data = saved("JPEG", np.zeros((1000, 1000), np.uint8), progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * 20_000 + b"\xff\xd9"


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def avif(*boxes: bytes, behind: bytes = b"") -> bytes:
    """A file with these boxes in its ``meta``."""
    start = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    handler = _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
    return start + _box(b"meta", bytes(4) + handler + b"".join(boxes)) + behind


def _empty_extents() -> bytes:
    """Ten thousand items with 65,535 extents of no bytes each."""
    items = b"".join(struct.pack(">HHH", number, 0, 65_535) for number in range(1, 10_001))
    places = _box(b"iloc", bytes(4) + b"\0\0" + struct.pack(">H", 10_000) + items)
    return avif(_box(b"pitm", b"\0\0\0\0\0\1"), places)


def _repeated_exif() -> bytes:
    """EXIF data that consist of the same megabyte 60,000 times."""
    data = photos()["avif"].data
    meta = data.index(b"meta") - 4
    size = struct.unpack_from(">I", data, meta)[0]
    inner = data[meta + 12 : meta + size]
    infos = inner.index(b"iinf") - 4
    inner = _with_item(inner, infos)
    places = inner.index(b"iloc") - 4
    return _with_places(data, meta, size, inner, places)


def _with_item(inner: bytes, at: int) -> bytes:
    """One more entry, for item 9 of the kind Exif."""
    size = struct.unpack_from(">I", inner, at)[0]
    entry = _box(b"infe", b"\2\0\0\0" + struct.pack(">HH", 9, 0) + b"Exif\0")
    body = bytearray(inner[at : at + size] + entry)
    struct.pack_into(">I", body, 0, size + len(entry))
    (count,) = struct.unpack_from(">H", body, 12)
    struct.pack_into(">H", body, 12, count + 1)
    return inner[:at] + bytes(body) + inner[at + size :]


def _with_places(data: bytes, meta: int, size: int, inner: bytes, at: int) -> bytes:
    """The picture's own place moves back by what is added."""
    length = struct.unpack_from(">I", inner, at)[0]
    old = inner[at : at + length]
    extents = 60_000
    padding = _box(b"free", b"\1" * (1 << 20))
    first = bytearray(old[16:])
    added = len(inner) - (size - 12) + 6 + 8 * extents
    assert old[12:14] == b"\x44\x00", "offsets and lengths of four bytes"
    (number,) = struct.unpack_from(">H", old, 14)
    for item in range(number):
        (offset,) = struct.unpack_from(">I", first, 14 * item + 6)
        struct.pack_into(">I", first, 14 * item + 6, offset + added)
    behind = data[meta + size :]
    start = meta + size + added + len(behind) + 8
    ours = struct.pack(">HHH", 9, 0, extents) + struct.pack(">II", start, 1 << 20) * extents
    count = struct.pack(">H", number + 1)
    box = _box(b"iloc", old[8:14] + count + bytes(first) + ours)
    made = inner[:at] + box + inner[at + length :]
    return data[:meta] + _box(b"meta", bytes(4) + made) + behind + padding


def _coded_larger() -> bytes:
    """What is coded has 16 megapixels, of which the container knows nothing."""
    data = saved("AVIF", np.zeros((4096, 4096), np.uint8), quality=10, speed=10)
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", 96, 72) + data[at + 8 :]


def _larger_canvas() -> bytes:
    """A small picture on a canvas of 268 megapixels."""
    picture = photos()["webp"].data[12:]
    side = (16_382).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + side + side + picture
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _black_canvas() -> bytes:
    return saved("WEBP", np.zeros((4000, 4000, 3), np.uint8), lossless=True, method=0)


def _webp(kind: bytes, content: bytes) -> bytes:
    """The usual photo with one more chunk. The picture itself is at its place."""
    side = (95).to_bytes(3, "little") + (71).to_bytes(3, "little")
    flag = {b"XMP ": b"\x04", b"EXIF": b"\x08"}[kind]
    more = kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    picture = photos()["webp"].data[12:]
    chunks = b"VP8X" + struct.pack("<I", 10) + flag + b"\0\0\0" + side + picture + more
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _texts() -> bytes:
    """Fifty megabytes of comments."""
    text = png_chunk(b"tEXt", b"Comment\0" + b"a" * (8 << 20))
    return _png(96, 72, *[text] * 6, _rows())


def _runs() -> bytes:
    """A bitmap of run lengths, 1000 × 1000, whose runs are all of no length."""
    info = struct.pack("<IiiHHIIiiII", 40, 1000, 1000, 1, 8, 1, 0, 0, 0, 256, 0)
    start = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 14 + 40 + 1024)
    return start + info + bytes(1024) + b"\0\2\0\0" * 1_000_000 + b"\0\1"


def _endless_sides() -> bytes:
    """A BigTIFF, whole by its structure, whose sides have 40 bits."""
    side = 1 << 40
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 16, 277: 1, 279: 8}
    table = b"".join(struct.pack("<HHQQ", tag, 16, 1, tags[tag]) for tag in sorted(tags))
    head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 24) + bytes(8)
    return head + struct.pack("<Q", len(tags)) + table + bytes(8)


BOMBS: dict[str, Bomb] = {
    "tiff, sides of forty bits": Bomb(".tif", _endless_sides),
    "png, two thousand million pixels wide": Bomb(
        ".png", lambda: _png(2**31 - 1, 2**31 - 1, _rows(), colour=6, bits=16)
    ),
    "png, 900 megapixels": Bomb(".png", lambda: _png(30_000, 30_000, _rows())),
    "png, endless rows": Bomb(".png", _behind_the_rows, sound=True),
    "png, endless palette rows": Bomb(".png", _of_palette, sound=True),
    "png, texts and a profile that inflate": Bomb(".png", _inflating_texts, sound=True),
    "png, 400,000 chunks": Bomb(".png", _many_chunks),
    "tiff, a huge tile of 16 bits": Bomb(".tif", lambda: _huge_tiles(16)),
    "tiff, a huge tile of 8 bits": Bomb(".tif", lambda: _huge_tiles(8)),
    "tiff, overlapping directories": Bomb(".tif", _overlapping_pages),
    "tiff, tags that share their value": Bomb(".tif", _shared_values, sound=True),
    "tiff, millions of strips": Bomb(".tif", _listed_strips),
    "jpeg, half a million segments": Bomb(".jpg", _many_segments),
    "jpeg, millions of fill bytes": Bomb(".jpg", _filled_up),
    "jpeg, twenty thousand scans": Bomb(".jpg", _many_scans),
    "avif, extents of nothing": Bomb(".avif", _empty_extents),
    "avif, repeated metadata": Bomb(".avif", _repeated_exif, sound=True),
    "avif, coded larger than it says": Bomb(".avif", _coded_larger, sound=True),
    "webp, a huge canvas": Bomb(".webp", _larger_canvas),
    "webp, 16 megapixels": Bomb(".webp", _black_canvas),
    "webp, a packet of blanks": Bomb(".webp", lambda: _webp(b"XMP ", b" " * (4 << 20)), sound=True),
    "webp, a packet of opening tags": Bomb(
        ".webp", lambda: _webp(b"XMP ", b"<xmp:Thumbnails " * (1 << 18)), sound=True
    ),
    "webp, a packet of other opening tags": Bomb(
        ".webp", lambda: _webp(b"XMP ", b"<tiff:Orientation " * (1 << 18)), sound=True
    ),
    "png, more text than a book": Bomb(".png", _texts, sound=True),
    "bmp, runs of no length": Bomb(".bmp", _runs),
}
