"""What a photo's file says beside its pixels, in a form that survives a change of format."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from retouchd.images import exif

_BYTES: Final = ("exif", "icc", "xmp", "iptc", "comment")
_COLOUR_CHUNKS: Final = ("gAMA", "cHRM", "sRGB", "cICP")
_TITLES: Final = {
    "icc": "the colour profile",
    "exif": "the EXIF data",
    "xmp": "the XMP data",
    "iptc": "the IPTC captions",
    "comment": "the comment",
}
"""By how much they would be missed."""
_LARGEST: Final = 16 << 20
"""Bytes of all of it. It crosses into the service, where nobody else bounds it."""
_OF_EACH: Final = 200
"""Bytes that a chunk takes beside its content."""


@dataclass(frozen=True)
class JpegTraits:
    """How a JPEG was encoded, so that it can be encoded the same way again.

    tables: quantisation tables, 64 values each in natural (not zigzag) order; component i uses
        tables[min(i, len - 1)]; one table for gray, two or three for colour.
    sampling: horizontal and vertical ratio of luma to chroma; (1, 1) for gray, (2, 2) is 4:2:0.
    progressive: several scans instead of one.
    optimised: Huffman tables made for this picture instead of the standard's examples.
    rgb: the components are R, G, B instead of Y, Cb, Cr.
    """

    tables: tuple[tuple[int, ...], ...]
    sampling: tuple[int, int]
    progressive: bool
    optimised: bool
    rgb: bool


@dataclass(frozen=True)
class Metadata:
    """Everything to be kept that is not a pixel.

    format: the source's; one of ``FORMATS``. bit_depth: the source's, 8, 10, 12 or 16.
    exif: a TIFF structure (EXIF without its ``Exif\\0\\0`` prefix); orientation is 1, and there
        is no thumbnail, since it would show what was removed.
    icc: the colour profile. xmp: the XMP packet. iptc: IPTC-IIM records (captions, keywords).
    dpi: pixels per inch, (x, y). comment: of a JPEG.
    chunks: of a PNG, (type, content): colour (gAMA, cHRM, sRGB, cICP) and text.
    jpeg: how a JPEG was encoded. tiff_compression: TIFF tag 259.
    webp_lossless: whether a WebP was. avif_subsampling: such as ``4:2:0``.
    """

    format: str
    bit_depth: int = 8
    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    chunks: tuple[tuple[str, bytes], ...] = ()
    jpeg: JpegTraits | None = None
    tiff_compression: int | None = None
    webp_lossless: bool = False
    avif_subsampling: str | None = None

    def stripped(self) -> Metadata:
        """Without EXIF, XMP, IPTC, DPI and text; what says how colours look (ICC) stays."""
        return replace(
            self,
            exif=None,
            xmp=None,
            iptc=None,
            dpi=None,
            comment=None,
            chunks=tuple((kind, data) for kind, data in self.chunks if kind in _COLOUR_CHUNKS),
        )

    def bounded(self) -> tuple[Metadata, tuple[str, ...]]:
        """What fits into 16 MB, and in words what does not."""
        room, notes = _LARGEST, list[str]()
        kept: dict[str, Any] = {}
        for name, title in _TITLES.items():
            size = len(getattr(self, name) or b"")
            if size > room:
                kept[name] = None
                notes.append(f"{title}: too large ({size >> 20} MB) and not kept")
            else:
                room -= size
        chunks = []
        for kind, data in self.chunks:
            size = len(data) + _OF_EACH
            if size <= room:
                chunks.append((kind, data))
                room -= size
        if len(chunks) < len(self.chunks):
            notes.append("some texts of the PNG: too large and not kept")
        return replace(self, **kept, chunks=tuple(chunks)), tuple(notes)

    def of_size(self, width: int, height: int) -> Metadata:
        """As it holds for the picture at another size."""
        block = exif.with_size(self.exif, width, height) if self.exif else None
        return replace(self, exif=block)

    def to_wire(self) -> dict[str, Any]:
        """The metadata as plain JSON values; bytes become base64."""
        wire: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in _BYTES:
            wire[name] = None if wire[name] is None else _text(wire[name])
        wire["dpi"] = None if self.dpi is None else list(self.dpi)
        wire["chunks"] = [[kind, _text(data)] for kind, data in self.chunks]
        if self.jpeg is not None:
            wire["jpeg"] = {
                **{f.name: getattr(self.jpeg, f.name) for f in fields(self.jpeg)},
                "tables": [list(table) for table in self.jpeg.tables],
                "sampling": list(self.jpeg.sampling),
            }
        return wire

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Metadata:
        """Rebuild what ``to_wire`` described; raises KeyError, TypeError or ValueError."""
        values = dict(wire)
        for name in _BYTES:
            values[name] = None if values[name] is None else b64decode(values[name])
        values["dpi"] = None if values["dpi"] is None else tuple(values["dpi"])
        values["chunks"] = tuple((kind, b64decode(data)) for kind, data in values["chunks"])
        if values["jpeg"] is not None:
            traits = dict(values["jpeg"])
            traits["tables"] = tuple(tuple(table) for table in traits["tables"])
            traits["sampling"] = tuple(traits["sampling"])
            values["jpeg"] = JpegTraits(**traits)
        return cls(**values)


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
