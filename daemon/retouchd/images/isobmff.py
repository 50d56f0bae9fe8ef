"""The boxes of a HEIF-like still picture file (ISO 14496-12, ISO 23008-12), as AVIF needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from retouchd.images.source import Source

_LARGEST_META: Final = 64 << 20
_MOST: Final = 100_000
"""Of whatever a file lists: some entries need no bytes, so that its size bounds nothing."""


@dataclass(frozen=True)
class Box:
    """A box in the file: its type, and where its content starts and ends."""

    kind: bytes
    start: int
    end: int


class Bits:
    """Big-endian numbers read one after the other from a box's content."""

    def __init__(self, source: Source, data: bytes) -> None:
        self._source = source
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        """The next ``size`` bytes as an unsigned number; 0 for size 0."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes; raises NotAnImage past the end."""
        self._at += size
        if self._at > len(self._data):
            raise self._source.broken("one of its boxes is too short")
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        return self._data[self._at :]

    def expect_few(self, count: int) -> None:
        """Raise NotAnImage for a list that is too long."""
        if count > _MOST:
            raise self._source.broken("one of its lists is too long")

    def version(self) -> tuple[int, int]:
        """A full box's version and flags."""
        word = self.number(4)
        return word >> 24, word & 0xFFFFFF


@dataclass
class Item:
    """One item: its type, where its data lies (offset, length), and its properties' indices."""

    kind: bytes = b""
    content: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)
    inside: bool = False
    properties: list[int] = field(default_factory=list)


@dataclass
class Catalogue:
    """The meta box: items by id, the primary one, properties in order, references.

    references: (type, from, to). idat: the offset of the meta box's own data.
    """

    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    references: list[tuple[bytes, int, int]] = field(default_factory=list)
    idat: Box | None = None

    def item(self, number: int) -> Item:
        """The item of that id, made if it is new."""
        return self.items.setdefault(number, Item())

    def of(self, number: int) -> list[tuple[bytes, bytes]]:
        """(type, content) of an item's properties, in their order."""
        wanted = self.items[number].properties if number in self.items else []
        return [self.properties[i - 1] for i in wanted if 0 < i <= len(self.properties)]


def boxes(source: Source, start: int, end: int) -> Iterator[Box]:
    """The boxes between two offsets; raises Truncated if one reaches past the file's end."""
    at = start
    for _ in range(_MOST):
        if at >= end:
            return
        length, kind = source.unpack(">I4s", at)
        head = 8
        if length == 1:
            (length,) = source.unpack(">Q", at + 8)
            head = 16
        elif length == 0:
            length = end - at
        if length < head:
            raise source.broken("one of its boxes has an impossible length")
        source.expect(at + length)
        if at + length > end:
            raise source.broken("one of its boxes is longer than the one around it")
        yield Box(kind, at + head, at + length)
        at += length
    raise source.broken("it has too many boxes")


def catalogue(source: Source) -> Catalogue:
    """The file's meta box; raises NotAnImage or Truncated."""
    meta = next((box for box in boxes(source, 0, source.size) if box.kind == b"meta"), None)
    if meta is None or meta.end - meta.start > _LARGEST_META:
        raise source.broken("it has no list of its pictures")
    found = Catalogue()
    for box in boxes(source, meta.start + 4, meta.end):
        if box.kind == b"idat":
            found.idat = box
        elif box.kind == b"iprp":
            _read_properties(source, found, box)
        elif box.kind in _READERS:
            _READERS[box.kind](found, _bits(source, box), source)
    if found.primary not in found.items:
        raise source.broken("it has no main picture")
    return found


def _bits(source: Source, box: Box) -> Bits:
    return Bits(source, source.at(box.start, box.end - box.start))


def _read_primary(found: Catalogue, bits: Bits, source: Source) -> None:
    version, _ = bits.version()
    found.primary = bits.number(4 if version else 2)


def _read_infos(found: Catalogue, bits: Bits, source: Source) -> None:
    version, _ = bits.version()
    bits.number(4 if version else 2)
    inner = Source.of(bits.rest(), source.name)
    for box in boxes(inner, 0, inner.size):
        if box.kind != b"infe":
            continue
        info = _bits(inner, box)
        version, _ = info.version()
        if version < 2:
            continue
        item = found.item(info.number(2 if version == 2 else 4))
        info.number(2)
        item.kind = info.take(4)
        item.content = info.rest().partition(b"\0")[2].partition(b"\0")[0]


def _read_locations(found: Catalogue, bits: Bits, source: Source) -> None:
    version, _ = bits.version()
    sizes = bits.number(2)
    offset_size, length_size = sizes >> 12, sizes >> 8 & 15
    base_size, index_size = sizes >> 4 & 15, sizes & 15 if version else 0
    total = 0
    for _ in range(bits.number(2 if version < 2 else 4)):
        item = found.item(bits.number(2 if version < 2 else 4))
        item.inside = bool(version and bits.number(2) & 15 == 1)
        bits.number(2)
        base, count = bits.number(base_size), bits.number(2)
        total += count
        bits.expect_few(total)
        for _ in range(count):
            bits.number(index_size)
            offset = bits.number(offset_size)
            item.extents.append((base + offset, bits.number(length_size)))


def _read_references(found: Catalogue, bits: Bits, source: Source) -> None:
    version, _ = bits.version()
    size = 4 if version else 2
    inner = Source.of(bits.rest(), source.name)
    for box in boxes(inner, 0, inner.size):
        one = _bits(inner, box)
        origin = one.number(size)
        for _ in range(one.number(2)):
            found.references.append((box.kind, origin, one.number(size)))
        bits.expect_few(len(found.references))


_READERS: Final = {
    b"pitm": _read_primary,
    b"iinf": _read_infos,
    b"iloc": _read_locations,
    b"iref": _read_references,
}


def _read_properties(source: Source, found: Catalogue, around: Box) -> None:
    for box in boxes(source, around.start, around.end):
        if box.kind == b"ipco":
            for one in boxes(source, box.start, box.end):
                found.properties.append((one.kind, source.at(one.start, one.end - one.start)))
        elif box.kind == b"ipma":
            _read_associations(found, _bits(source, box))


def _read_associations(found: Catalogue, bits: Bits) -> None:
    version, flags = bits.version()
    for _ in range(bits.number(4)):
        item = found.item(bits.number(2 if version < 1 else 4))
        # Each item has one entry, of at most 255; else few tiles could have very many.
        item.properties.clear()
        for _ in range(bits.number(1)):
            word = bits.number(2 if flags & 1 else 1)
            # The top bit says that the property is essential.
            item.properties.append(word & (0x7FFF if flags & 1 else 0x7F))
