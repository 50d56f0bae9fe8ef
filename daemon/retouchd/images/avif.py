"""AVIF files as containers (AV1 Image File Format 1.1): header, completeness, metadata."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from retouchd.images import exif
from retouchd.images.header import Header
from retouchd.images.isobmff import Box, Catalogue, Item, boxes, catalogue
from retouchd.images.metadata import Metadata
from retouchd.images.source import Source

_ALPHA: Final = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
_TURNED: Final = {0: 1, 1: 8, 2: 3, 3: 6}
_MIRRORED: Final = {
    (0, 0): 4,
    (0, 1): 2,
    (1, 0): 5,
    (1, 1): 7,
    (2, 0): 2,
    (2, 1): 4,
    (3, 0): 7,
    (3, 1): 5,
}
_LARGEST: Final = 16 << 20
"""Bytes of an item's metadata, whose parts may overlap."""
_PLAIN_PRIMARIES: Final = frozenset({1, 2, 5, 6, 7})
_PLAIN_TRANSFERS: Final = frozenset({1, 2, 6, 13, 14, 15})


@dataclass(frozen=True)
class Coding:
    """How the AV1 data is coded (its av1C box): bits per sample, gray or not, chroma sampling."""

    depth: int
    monochrome: bool
    subsampling: str


def header(source: Source) -> Header:
    """The header; raises NotAnImage, Truncated, and Unsupported for animations and HDR."""
    found = _still(source)
    properties = dict(reversed(found.of(found.primary)))
    width, height = _sides(source, properties)
    coding = _coding(source, found)
    _refuse_wide(source, found)
    return Header(
        format="avif",
        width=width,
        height=height,
        mode="gray" if coding.monochrome else "rgb",
        bit_depth=coding.depth,
        frames=1,
        has_alpha=_alpha(found) is not None,
        orientation=_orientation(found),
    )


def _still(source: Source) -> Catalogue:
    if source.at(8, 4) == b"avis":
        raise source.unsupported(
            "it is an animated AVIF", "Drop a single picture instead of the animation."
        )
    return catalogue(source)


def _sides(source: Source, properties: dict[bytes, bytes]) -> tuple[int, int]:
    content = properties.get(b"ispe", b"")
    if len(content) < 12:
        raise source.broken("it doesn't say how large it is")
    width, height = struct.unpack_from(">II", content, 4)
    if not width or not height:
        raise source.broken("its width or height is 0")
    return width, height


def _coding(source: Source, found: Catalogue) -> Coding:
    """Of the primary item; a grid's tiles say it in its stead."""
    tiles = [
        to for kind, origin, to in found.references if (kind, origin) == (b"dimg", found.primary)
    ]
    for number in (found.primary, *tiles):
        content = dict(found.of(number)).get(b"av1C", b"")
        if len(content) >= 4:
            bits = content[2]
            high, twelve, mono = bits & 0x40, bits & 0x20, bits & 0x10
            chroma = {0: "4:4:4", 8: "4:2:2", 12: "4:2:0"}.get(bits & 12, "4:2:0")
            depth = 12 if high and twelve else 10 if high else 8
            return Coding(depth, bool(mono), "4:0:0" if mono else chroma)
    raise source.broken("it doesn't say how it is coded")


def coding(source: Source) -> Coding:
    """How the main picture is coded; raises NotAnImage or Truncated."""
    return _coding(source, catalogue(source))


def _refuse_wide(source: Source, found: Catalogue) -> None:
    """Refuse colours that only the codec's own numbers describe: no other format carries them."""
    colours = [content for kind, content in found.of(found.primary) if kind == b"colr"]
    if any(content[:4] in (b"prof", b"rICC") for content in colours):
        return
    for content in colours:
        if content[:4] == b"nclx" and len(content) >= 8:
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            if primaries not in _PLAIN_PRIMARIES or transfer not in _PLAIN_TRANSFERS:
                raise source.unsupported(
                    f"it is an HDR or wide-gamut AVIF (CICP {primaries}/{transfer})",
                    "Export it with an ICC profile, as 16-bit PNG or TIFF, and drop that.",
                )


def _alpha(found: Catalogue) -> Item | None:
    for kind, origin, to in found.references:
        if kind == b"auxl" and to == found.primary:
            content = dict(found.of(origin)).get(b"auxC", b"")
            if content[4:].startswith(_ALPHA):
                return found.items[origin]
    return None


def _orientation(found: Catalogue) -> int:
    """EXIF's number for the irot and imir properties; EXIF's own tag doesn't count in AVIF."""
    properties = dict(found.of(found.primary))
    angle = properties.get(b"irot", b"\0")[:1] or b"\0"
    turns = angle[0] & 3
    axis = properties.get(b"imir")
    if not axis:
        return _TURNED[turns]
    return _MIRRORED[turns, axis[0] & 1]


def check(source: Source) -> None:
    """Raise Truncated unless every box and every item's data lies within the file, written."""
    list(boxes(source, 0, source.size))
    found = catalogue(source)
    for item in found.items.values():
        base, limit = _reach(source, found.idat, item)
        for offset, length in item.extents:
            if length and base + offset + length > limit:
                raise source.truncated("a part of its picture data lies behind its end")
            source.expect_written(base + offset, base + offset + length)
    if not found.items[found.primary].extents:
        raise source.broken("it has no picture data")


def _reach(source: Source, idat: Box | None, item: Item) -> tuple[int, int]:
    if item.inside:
        return (0, 0) if idat is None else (idat.start, idat.end)
    return 0, source.size


def metadata(source: Source) -> Metadata:
    """What the items say; the EXIF block and XMP packet are as stored."""
    found = catalogue(source)
    colours = [content for kind, content in found.of(found.primary) if kind == b"colr"]
    coded = _coding(source, found)
    return Metadata(
        format="avif",
        bit_depth=coded.depth,
        exif=_exif(_data(source, found, b"Exif", b"")),
        icc=next((c[4:] for c in colours if c[:4] in (b"prof", b"rICC")), None) or None,
        xmp=_data(source, found, b"mime", b"application/rdf+xml"),
        avif_subsampling=coded.subsampling,
    )


def _data(source: Source, found: Catalogue, kind: bytes, content: bytes) -> bytes | None:
    for item in found.items.values():
        small = sum(length for _, length in item.extents) <= _LARGEST
        if item.kind == kind and item.content.startswith(content) and small:
            base, _ = _reach(source, found.idat, item)
            return b"".join(source.at(base + o, n) for o, n in item.extents) or None
    return None


def _exif(data: bytes | None) -> bytes | None:
    """The TIFF structure in an Exif item, which starts with the number of bytes to skip."""
    if data is None or len(data) < 4:
        return None
    return exif.bare(exif.bare(data[4 + int.from_bytes(data[:4], "big") :]))
