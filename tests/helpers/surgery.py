"""Damage done to the parts of containers: chunks, segments, directories and boxes, so that it gets
past what looks at the whole."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

from helpers.kinds import Kind, photos

PNG = b"\x89PNG\r\n\x1a\n"
ODD = {
    1: (0, 1, 2, 3, 16, 0x7F, 0x80, 0xFE, 0xFF),
    2: (0, 1, 2, 8, 9, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF),
    4: (0, 1, 2, 8, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF),
    8: (0, 1, 8, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
}
Part = tuple[bytes, bytes]
"""A chunk, segment or box: its name and its content."""


def put_odd(out: bytearray, at: int, chance: random.Random) -> None:
    """Write a number there that readers may stumble over."""
    size = chance.choice((1, 2, 2, 4, 4, 8))
    number = chance.choice(ODD[size])
    order = chance.choice(("big", "little"))
    out[at : at + size] = number.to_bytes(size, order)[: max(0, len(out) - at)]


def _operated(parts: list[Part], chance: random.Random, donors: list[Part]) -> list[Part]:
    """One cut: parts go, come twice, change places, or have another name or content."""
    parts = list(parts)
    if not parts:
        return parts
    i, j = chance.randrange(len(parts)), chance.randrange(len(parts))
    name, content = parts[i]
    match chance.randrange(7):
        case 0:
            del parts[i]
        case 1:
            parts[j:j] = [parts[i]] * chance.choice((1, 1, 300))
        case 2:
            parts[i], parts[j] = parts[j], parts[i]
        case 3 if donors:
            parts.insert(i, chance.choice(donors))
        case 4:
            parts[i] = (parts[j][0], content)
        case 5:
            parts[i] = (name, content[: chance.randrange(len(content) + 1)])
        case _:
            out = bytearray(content or b"\0")
            for _ in range(chance.randint(1, 3)):
                put_odd(out, chance.randrange(len(out)), chance)
            parts[i] = (name, bytes(out))
    return parts


# --- PNG ----------------------------------------------------------------------------------------


def _png_parts(data: bytes) -> list[Part]:
    found, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _png_surgery(data: bytes, chance: random.Random, _: Kind) -> bytes:
    """With right checksums, so that it gets past them; sometimes beneath the compression."""
    parts = _png_parts(data)
    if chance.random() < 0.4:
        parts = [(n, _repacked(c, chance) if n == b"IDAT" else c) for n, c in parts]
    else:
        donors = [(b"tRNS", b"\0\1"), (b"PLTE", bytes(6)), (b"eXIf", b"II*\0\xff\xff\xff\xff")]
        donors += [(b"acTL", bytes(8)), (b"iCCP", b"a\0\0" + zlib.compress(bytes(200)))]
        parts = _operated(parts, chance, donors)
    return PNG + b"".join(_png_chunk(name, content) for name, content in parts)


def _repacked(content: bytes, chance: random.Random) -> bytes:
    try:
        rows = bytearray(zlib.decompress(content))
    except zlib.error:
        return content
    for _ in range(chance.randint(1, 20)):
        rows[chance.randrange(len(rows))] = chance.randrange(256)
    return zlib.compress(bytes(rows[: chance.choice((len(rows), len(rows), len(rows) // 2))]))


def _png_chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


# --- JPEG ---------------------------------------------------------------------------------------


def _jpeg_parts(data: bytes) -> tuple[list[Part], bytes]:
    """The segments before the first scan's data, and the rest."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        (length,) = struct.unpack_from(">H", data, at + 2)
        name = data[at : at + 2]
        found.append((name, data[at + 4 : at + 2 + length]))
        at += 2 + length
        if name == b"\xff\xda":
            break
    return found, data[at:]


def _jpeg_surgery(data: bytes, chance: random.Random, _: Kind) -> bytes:
    parts, rest = _jpeg_parts(data)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\xff\xff\xff\xff\0\6\0\0"
    donors = [(b"\xff\xe1", exif), (b"\xff\xee", b"Adobe\0\x64\0\0\0\0\2"), (b"\xff\xdd", b"\0\1")]
    donors += [(b"\xff\xc0", b"\x08\xff\xff\xff\xff\1\1\x44\0"), (b"\xff\xe2", b"MPF\0II*\0")]
    segments = [
        name + struct.pack(">H", min(65535, len(content) + 2)) + content
        for name, content in _operated(parts, chance, donors)
    ]
    return b"\xff\xd8" + b"".join(segments) + rest


# --- WebP ---------------------------------------------------------------------------------------


def _webp_parts(data: bytes) -> list[Part]:
    found, at = [], 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        found.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def _webp_surgery(data: bytes, chance: random.Random, _: Kind) -> bytes:
    donors = [(b"VP8X", b"\x1e\0\0\0\xff\xff\xff\xff\xff\xff"), (b"ANMF", bytes(24))]
    donors += [(b"ALPH", b"\1" + bytes(9)), *_webp_parts(photos()["webp, lossless"].data)]
    parts = _operated(_webp_parts(data), chance, donors)
    body = b"".join(
        name.ljust(4)[:4] + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in parts
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


# --- TIFF ---------------------------------------------------------------------------------------


def _tiff_surgery(data: bytes, chance: random.Random, _: Kind) -> bytes:
    """In the directory, where it stands."""
    out = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    head, step, word = ("Q", 20, "Q") if big else ("H", 12, "I")
    try:
        (at,) = struct.unpack_from(order + word, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + head, data, at)
        start = at + struct.calcsize(head)
        for _ in range(chance.randint(1, 3)):
            _cut_entry(out, start, step, max(1, min(count, 60)), order + word, chance, at)
    except struct.error:
        pass
    return bytes(out)


def _cut_entry(
    out: bytearray, start: int, step: int, count: int, word: str, chance: random.Random, top: int
) -> None:
    i, j = chance.randrange(count), chance.randrange(count)
    one, other = start + i * step, start + j * step
    size = struct.calcsize(word)
    number = chance.choice((*ODD[size], top, len(out), len(out) - 1, 65536))
    match chance.randrange(6):
        case 0:
            struct.pack_into(word[0] + "H", out, one, chance.choice((254, 273, 322, 324, 330, 339)))
        case 1:
            struct.pack_into(word[0] + "H", out, one + 2, chance.randrange(20))
        case 2:
            struct.pack_into(word, out, one + 4, number)
        case 3:
            struct.pack_into(word, out, one + 4 + size, number)
        case 4:
            out[one : one + step], out[other : other + step] = (
                out[other : other + step],
                out[one : one + step],
            )
        case _:
            # The next directory: this one again, or something within.
            struct.pack_into(word, out, start + count * step, chance.choice((top, 8, number)))


# --- AVIF ---------------------------------------------------------------------------------------

_NESTED = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6, b"dinf": 0}
"""Boxes that hold boxes, behind so many bytes."""


def _avif_surgery(data: bytes, chance: random.Random, _: Kind) -> bytes:
    """At some depth; the boxes around it have the right length, mostly."""
    return b"".join(_boxes_of(_cut_boxes(_split_boxes(data), chance), chance))


def _split_boxes(data: bytes) -> list[Part]:
    found, at = [], 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if length < 8:
            break
        found.append((name, data[at + 8 : at + length]))
        at += length
    return found


def _boxes_of(parts: list[Part], chance: random.Random) -> list[bytes]:
    wrong = chance.randrange(200)
    return [
        struct.pack(">I", ODD[4][wrong % 10] if i == wrong else 8 + len(content)) + name + content
        for i, (name, content) in enumerate(parts)
    ]


def _cut_boxes(parts: list[Part], chance: random.Random) -> list[Part]:
    nested = [i for i, (name, _) in enumerate(parts) if name in _NESTED]
    if nested and chance.random() < 0.85:
        i = chance.choice(nested)
        name, content = parts[i]
        skip = _NESTED[name]
        inner = _cut_boxes(_split_boxes(content[skip:]), chance)
        parts = list(parts)
        parts[i] = (name, content[:skip] + b"".join(_boxes_of(inner, chance)))
        return parts
    donors = [(b"irot", b"\1"), (b"imir", b"\1"), (b"idat", bytes(64)), (b"pitm", b"\0\0\0\0\0\2")]
    donors += [(b"ispe", bytes(4) + b"\xff" * 8), (b"grid", b"\0\0\x0f\x0f\0\x60\0\x48")]
    return _operated(parts, chance, donors)


# --- BMP ----------------------------------------------------------------------------------------


def _bmp_surgery(data: bytes, chance: random.Random, _: Kind) -> bytes:
    """In one of the header's fields."""
    out = bytearray(data)
    fields = {10: 4, 14: 4, 18: 4, 22: 4, 26: 2, 28: 2, 30: 4, 34: 4, 46: 4, 50: 4}
    for at in chance.sample(sorted(fields), chance.randint(1, 2)):
        size = fields[at]
        few = (*ODD[size], 1, 4, 8, 12, 16, 24, 32, 40, 56, 108, 124)
        out[at : at + size] = (chance.choice(few) % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(out)


SURGERY: dict[str, Callable[[bytes, random.Random, Kind], bytes]] = {
    ".png": _png_surgery,
    ".jpg": _jpeg_surgery,
    ".webp": _webp_surgery,
    ".tif": _tiff_surgery,
    ".avif": _avif_surgery,
    ".bmp": _bmp_surgery,
}
