"""TIFF's image file directories: the common ground of TIFF files and EXIF blocks (TIFF 6.0)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from retouchd.images.source import Source

_SIZES: Final = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
    13: 4, 16: 8, 17: 8, 18: 8,
}  # fmt: skip
_INTEGERS: Final = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    8: "h",
    9: "i",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_MOST_PAGES: Final = 10_000
_LONGEST_CHAIN: Final = 4 << 20
"""Bytes of all directories together. They may overlap, so that a file's size bounds nothing."""
_MOST_VALUES: Final = 1 << 21
"""Of one tag: enough for the tiles of 500 megapixels, 16 × 16 each."""

Order = Literal["<", ">"]
"""Byte order: little or big endian, as ``struct`` writes it."""

Value = tuple[int, int, bytes]
"""(type, count, bytes in the directory's byte order) of one tag."""


@dataclass(frozen=True)
class Entry:
    """One tag: ``type``, ``count``, and the absolute offset and size in bytes of its values."""

    type: int
    count: int
    offset: int
    size: int


@dataclass(frozen=True)
class Directory:
    """One directory; values are read when asked for, since some are as large as the picture.

    order: ``<`` or ``>``. next_at: where the offset of the next directory is stored.
    """

    source: Source
    order: Order
    entries: Mapping[int, Entry]
    next: int
    next_at: int

    def raw(self, tag: int) -> bytes | None:
        """The bytes of a tag's values, None without the tag; raises Truncated."""
        entry = self.entries.get(tag)
        return None if entry is None else self.source.at(entry.offset, entry.size)

    def integers(self, tag: int) -> tuple[int, ...]:
        """A tag's values if they are integers, else ``()``; raises Truncated or NotAnImage."""
        entry = self.entries.get(tag)
        if entry is None or entry.type not in _INTEGERS:
            return ()
        if entry.count > _MOST_VALUES:
            raise self.source.broken("one of its TIFF tags has too many values")
        layout = f"{self.order}{entry.count}{_INTEGERS[entry.type]}"
        return struct.unpack(layout, self.source.at(entry.offset, entry.size))

    def integer(self, tag: int, default: int) -> int:
        """A tag's first value, or the default."""
        entry = self.entries.get(tag)
        if entry is None or entry.type not in _INTEGERS or not entry.count:
            return default
        return int(self.source.unpack(self.order + _INTEGERS[entry.type], entry.offset)[0])

    def rational(self, tag: int) -> float | None:
        """A tag's first value if it is a positive unsigned fraction."""
        entry = self.entries.get(tag)
        if entry is None or entry.type != 5 or entry.count < 1:
            return None
        above, below = self.source.unpack(f"{self.order}II", entry.offset)
        return above / below if above and below else None

    def value(self, tag: int) -> Value | None:
        """A tag as it would be copied; None for types that an EXIF block doesn't know."""
        entry = self.entries.get(tag)
        if entry is None or entry.type > 12:
            return None
        return entry.type, entry.count, self.source.at(entry.offset, entry.size)


def read_start(source: Source) -> tuple[Order, bool, int]:
    """(byte order, whether it is BigTIFF, offset of the first directory)."""
    mark = source.at(0, 4)
    if mark[:2] not in (b"II", b"MM"):
        raise source.broken("its TIFF structure has no byte order")
    order: Order = "<" if mark[:2] == b"II" else ">"
    (version,) = struct.unpack(f"{order}H", mark[2:])
    if version == 43:
        return order, True, int(source.unpack(f"{order}Q", 8)[0])
    if version != 42:
        raise source.broken("its TIFF structure has an unknown version")
    return order, False, int(source.unpack(f"{order}I", 4)[0])


def read_directory(source: Source, order: Order, big: bool, offset: int) -> Directory:
    """The directory at ``offset``; raises Truncated or NotAnImage."""
    head, step, room, word = ("Q", 20, 8, "Q") if big else ("H", 12, 4, "I")
    (count,) = source.unpack(order + head, offset)
    if not 0 < count <= 65535:
        raise source.broken("its TIFF structure has an impossible number of tags")
    start = offset + struct.calcsize(order + head)
    table = source.at(start, count * step)
    entries = {}
    for i in range(count):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", table, i * step)
        if kind not in _SIZES:
            continue
        size = number * _SIZES[kind]
        at = start + i * step + step - room
        if size > room:
            (at,) = struct.unpack_from(f"{order}{word}", table, i * step + step - room)
        entries[tag] = Entry(kind, number, at, size)
    next_at = start + count * step
    # Many EXIF writers leave out the offset of the next directory.
    ending = source.up_to(next_at, room)
    following = struct.unpack(order + word, ending)[0] if len(ending) == room else 0
    return Directory(source, order, entries, following, next_at)


def read_pages(source: Source) -> Iterator[Directory]:
    """The chain of directories; raises NotAnImage where it runs in a circle or is too long."""
    order, big, offset = read_start(source)
    if offset == 0:
        raise source.truncated("its TIFF directory is not written yet")
    seen: set[int] = set()
    length = 0
    while offset:
        if offset in seen or len(seen) >= _MOST_PAGES:
            raise source.broken("its TIFF directories run in a circle")
        seen.add(offset)
        page = read_directory(source, order, big, offset)
        length += page.next_at - offset
        if length > _LONGEST_CHAIN:
            raise source.broken("its TIFF directories have too many tags")
        yield page
        offset = page.next


def pack(order: Order, values: Mapping[int, Value], at: int) -> bytes:
    """A directory (and its larger values behind it) to be stored at the even offset ``at``."""
    table = struct.pack(f"{order}H", len(values))
    heap = b""
    heap_at = at + 2 + 12 * len(values) + 4
    for tag in sorted(values):
        kind, count, raw = values[tag]
        table += struct.pack(f"{order}HHI", tag, kind, count)
        if len(raw) <= 4:
            table += raw.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", heap_at + len(heap))
            heap += raw + b"\0" * (len(raw) % 2)
    return table + b"\0\0\0\0" + heap


def pack_tree(
    order: Order, top: Mapping[int, Value], parts: Mapping[int, Mapping[int, Value]], at: int
) -> tuple[bytes, int]:
    """A top directory with its EXIF (0x8769) and GPS (0x8825) directories and EXIF's 0xA005.

    Returns the bytes to be stored at the even offset ``at``, and where the top one starts.
    """
    out = b""
    places: dict[int, int] = {}
    for tag in (0xA005, 0x8769, 0x8825):
        values = dict(parts.get(tag, {}))
        if not values:
            continue
        if tag == 0x8769 and 0xA005 in places:
            values[0xA005] = long(order, places[0xA005])
        places[tag] = at + len(out)
        out += pack(order, values, at + len(out))
    pointers: dict[int, Value] = {
        tag: long(order, places[tag]) for tag in (0x8769, 0x8825) if tag in places
    }
    start = at + len(out)
    return out + pack(order, {**top, **pointers}, start), start


def short(order: Order, *values: int) -> Value:
    """Values of TIFF's type SHORT."""
    return 3, len(values), struct.pack(f"{order}{len(values)}H", *values)


def long(order: Order, *values: int) -> Value:
    """Values of TIFF's type LONG."""
    return 4, len(values), struct.pack(f"{order}{len(values)}I", *values)
