"""EXIF blocks: made true for the upright, repaired picture, and moved in and out of TIFF files.

CIPA DC-008 (EXIF 2.32). Blocks are patched where they stand instead of being written anew,
because makers' notes hold offsets that a rewrite would break.
"""

from __future__ import annotations

import struct
from typing import Final

from retouchd.errors import PermanentError
from retouchd.images.ifd import (
    Directory,
    Order,
    Value,
    pack_tree,
    read_directory,
    read_start,
)
from retouchd.images.source import Source

PREFIX: Final = b"Exif\0\0"
ORIENTATION: Final = 0x0112
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005
_LARGEST: Final = 8 << 20
"""Bytes of a directory's values together; several may be the same bytes."""
_SIDES: Final = ((0x0100, 0x0101), (0xA002, 0xA003))

OTHERWISE_KEPT: Final = frozenset({282, 283, 296, 700, 33723, 34675})
"""TIFF tags with a place of their own in Metadata: resolution, XMP, IPTC, ICC."""

_STRUCTURE: Final = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281}
    | {284, 288, 289, 290, 291, 292, 293, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325}
    | {330, 332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518}
    | {519, 520, 521, 529, 530, 531, 532, 34377, 37724, 0x8769, 0x8825}
)
"""TIFF tags that speak of the pixels' storage, or of thumbnails and layers (34377, 37724)."""


def bare(block: bytes | None) -> bytes | None:
    """An EXIF block without the prefix that some containers put before it; None if empty."""
    if not block:
        return None
    return block.removeprefix(PREFIX) or None


def orientation(block: bytes | None) -> int:
    """The block's orientation, 1 to 8; 1 where there is none or the block is damaged."""
    if block is None:
        return 1
    try:
        value = _top(Source.of(block, "EXIF")).integer(ORIENTATION, 1)
    except (PermanentError, struct.error):
        return 1
    return value if 1 <= value <= 8 else 1


def made_true(block: bytes, swapped: bool) -> bytes | None:
    """The block for the upright picture: orientation 1, no thumbnail, sides exchanged if so.

    None for a block that is too damaged to be patched.
    """
    try:
        return _patched(block, swapped)
    except (PermanentError, struct.error):
        return None


def with_size(block: bytes, width: int, height: int) -> bytes | None:
    """The block for the picture at another size; None for one that is too damaged for that."""
    try:
        top = _top(Source.of(block, "EXIF"))
        out = bytearray(block)
        for directory in filter(None, (top, _nested(top, _EXIF))):
            for across, down in _SIDES:
                if across in directory.entries and down in directory.entries:
                    _overwrite(out, directory, across, width)
                    _overwrite(out, directory, down, height)
    except (PermanentError, struct.error):
        return None
    return bytes(out)


def _top(source: Source) -> Directory:
    order, big, offset = read_start(source)
    return read_directory(source, order, big, offset)


def _patched(block: bytes, swapped: bool) -> bytes:
    source = Source.of(block, "EXIF")
    top = _top(source)
    out = bytearray(block)
    if ORIENTATION in top.entries:
        _overwrite(out, top, ORIENTATION, 1)
    if swapped:
        _swap_sides(out, top)
        nested = _nested(top, _EXIF)
        if nested is not None:
            _swap_sides(out, nested)
    return _without_thumbnail(out, top)


def _overwrite(out: bytearray, directory: Directory, tag: int, value: int) -> None:
    entry = directory.entries[tag]
    layout = {3: "H", 4: "I"}.get(entry.type)
    if layout is not None and entry.count >= 1:
        struct.pack_into(directory.order + layout, out, entry.offset, value)


def _swap_sides(out: bytearray, directory: Directory) -> None:
    for across, down in _SIDES:
        if across in directory.entries and down in directory.entries:
            width, height = directory.integer(across, 0), directory.integer(down, 0)
            _overwrite(out, directory, across, height)
            _overwrite(out, directory, down, width)


def _nested(directory: Directory, tag: int) -> Directory | None:
    offset = directory.integer(tag, 0)
    if not offset:
        return None
    try:
        return read_directory(directory.source, directory.order, False, offset)
    except PermanentError:
        return None


def _without_thumbnail(out: bytearray, top: Directory) -> bytes:
    """Unhook the second directory and blank its picture; cut the block where that was its end."""
    if not top.next:
        return bytes(out)
    struct.pack_into(top.order + "I", out, top.next_at, 0)
    try:
        second = read_directory(top.source, top.order, False, top.next)
        pieces = _pictures(second)
    except PermanentError:
        return bytes(out)
    for start, size in pieces:
        end = min(len(out), start + size)
        out[start:end] = b"\0" * max(0, end - start)
        if end >= len(out) - 1 and start > top.next:
            del out[start:]
    return bytes(out)


def _pictures(directory: Directory) -> list[tuple[int, int]]:
    """Where a directory's picture lies: as a JPEG (0x201, 0x202) or in strips (0x111, 0x117)."""
    pieces: list[tuple[int, int]] = []
    for offsets, counts in ((0x0201, 0x0202), (0x0111, 0x0117)):
        pieces += zip(directory.integers(offsets), directory.integers(counts), strict=False)
    return sorted(pieces, reverse=True)


def from_tiff(page: Directory) -> bytes | None:
    """The EXIF block that a TIFF page's descriptive tags make; None if it has none."""
    top, parts = _split(page)
    if not top and not any(parts.values()):
        return None
    head = b"II*\0" if page.order == "<" else b"MM\0*"
    body, start = pack_tree(page.order, top, parts, 8)
    return head + struct.pack(f"{page.order}I", start) + body


def for_tiff(block: bytes) -> tuple[Order, dict[int, Value], dict[int, dict[int, Value]]]:
    """(byte order, top tags, nested tags) of an EXIF block, for ``ifd.pack_tree``."""
    directory = _top(Source.of(block, "EXIF"))
    top, parts = _split(directory)
    return directory.order, top, parts


def resolution(block: bytes | None) -> tuple[float, float] | None:
    """Pixels per inch from the block's own tags, as of a camera without JFIF density."""
    if block is None:
        return None
    try:
        return dpi(_top(Source.of(block, "EXIF")))
    except (PermanentError, struct.error):
        return None


def dpi(directory: Directory) -> tuple[float, float] | None:
    """Pixels per inch from tags 282, 283 and 296; None without a unit."""
    across, down = directory.rational(282), directory.rational(283)
    scale = {2: 1.0, 3: 2.54}.get(directory.integer(296, 2))
    if across is None or down is None or scale is None:
        return None
    return across * scale, down * scale


def _split(page: Directory) -> tuple[dict[int, Value], dict[int, dict[int, Value]]]:
    top = _values(page, _STRUCTURE | OTHERWISE_KEPT)
    nested = _nested(page, _EXIF)
    places = _nested(page, _GPS)
    parts: dict[int, dict[int, Value]] = {_EXIF: {}, _GPS: {}, _INTEROP: {}}
    if nested is not None:
        parts[_EXIF] = _values(nested, frozenset({_INTEROP}))
        interop = _nested(nested, _INTEROP)
        parts[_INTEROP] = {} if interop is None else _values(interop, frozenset())
    if places is not None:
        parts[_GPS] = _values(places, frozenset())
    return top, parts


def _values(directory: Directory, without: frozenset[int]) -> dict[int, Value]:
    found: dict[int, Value] = {}
    room = _LARGEST
    for tag, entry in directory.entries.items():
        if tag in without or entry.size > room:
            continue
        value = directory.value(tag)
        if value is not None:
            found[tag] = value
            room -= entry.size
    return found
