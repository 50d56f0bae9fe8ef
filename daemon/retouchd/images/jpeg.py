"""JPEG files as containers (ITU T.81, JFIF 1.02, CIPA DC-008): header, completeness, metadata.

A phone's multi-picture file (MPO) starts with a plain JPEG; that primary picture is the one.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from typing import Final

from retouchd.errors import Truncated
from retouchd.images import exif
from retouchd.images.header import Header
from retouchd.images.jpeg_segments import (
    EOI,
    IPTC,
    MOST,
    PHOTOSHOP,
    SOS,
    STANDALONE,
    Structure,
    read,
)
from retouchd.images.metadata import JpegTraits, Metadata
from retouchd.images.source import Source

_READABLE: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_PROGRESSIVE: Final = frozenset({0xC2, 0xCA})
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_TAIL: Final = 65536
_FIRST, _BLOCK = 1 << 8, 1 << 20
_MOST_SCANS: Final = 500
"""Encoders make about ten. Each is a pass over the whole picture, however few its bytes."""
_SAVE_ANEW: Final = "Save it anew as a normal RGB or grayscale JPEG, and drop that."


def header(source: Source) -> Header:
    """The header; raises NotAnImage, Truncated, and Unsupported for CMYK and the like."""
    found = read(source)
    _check_kind(source, found)
    gray = len(found.components) == 1
    return Header(
        format="jpeg",
        width=found.width,
        height=found.height,
        mode="gray" if gray else "rgb",
        bit_depth=8,
        frames=1,
        has_alpha=False,
        orientation=exif.orientation(found.exif),
    )


def _check_kind(source: Source, found: Structure) -> None:
    if len(found.components) == 4:
        raise source.unsupported("it is a CMYK JPEG", _SAVE_ANEW)
    if found.precision != 8:
        raise source.unsupported(f"it is a JPEG of {found.precision} bits", _SAVE_ANEW)
    if found.frame not in _READABLE:
        raise source.unsupported("it is a lossless or hierarchical JPEG", _SAVE_ANEW)
    if len(found.components) not in (1, 3):
        raise source.unsupported(f"it has {len(found.components)} colours", _SAVE_ANEW)
    if not found.width or not found.height:
        raise source.broken("its width or height is 0")


def metadata(source: Source) -> Metadata:
    """What the segments say; the EXIF block and XMP packet are as stored."""
    found = read(source)
    return Metadata(
        format="jpeg",
        exif=found.exif,
        icc=b"".join(found.icc[i] for i in sorted(found.icc)) or None,
        xmp=found.xmp,
        iptc=found.iptc,
        dpi=_dpi(found),
        comment=found.comment,
        jpeg=_traits(found),
    )


def _dpi(found: Structure) -> tuple[float, float] | None:
    if found.jfif is not None:
        unit, across, down = found.jfif
        scale = {1: 1.0, 2: 2.54}.get(unit)
        if scale and across and down:
            return across * scale, down * scale
    return exif.resolution(found.exif)


def _traits(found: Structure) -> JpegTraits | None:
    wanted = [component.table for component in found.components]
    if not wanted or any(number not in found.tables for number in wanted):
        return None
    tables = [found.tables[number] for number in wanted]
    if len(tables) == 3 and tables[1] == tables[2]:
        tables.pop()
    first, last = found.components[0], found.components[-1]
    return JpegTraits(
        tables=tuple(tables),
        sampling=(first.across // max(1, last.across), first.down // max(1, last.down)),
        progressive=found.frame in _PROGRESSIVE,
        optimised=found.optimised,
        rgb=found.is_rgb,
    )


def check(source: Source) -> None:
    """Raise Truncated unless the primary picture reaches its end marker.

    The usual file ends in it. Otherwise (a second picture or a film behind it, or padding) the
    entropy-coded data is searched for markers, which byte stuffing keeps unmistakable.
    """
    found = read(source)
    tail = source.up_to(max(found.scan_at, source.size - _TAIL), _TAIL)
    if tail.rstrip(b"\0\r\n ").endswith(b"\xff\xd9"):
        return
    _find_end(source, found.scan_at)


def check_scans(source: Source) -> None:
    """Raise NotAnImage for a picture that is refined without end; call it before decoding."""
    found = read(source)
    if found.frame in _PROGRESSIVE or found.scanned < len(found.components):
        # What is cut off or damaged is for the decoder to say, which knows better.
        with suppress(Truncated):
            _find_end(source, found.scan_at)


def _find_end(source: Source, at: int) -> None:
    """Walk scans and the segments between them up to EOI."""
    scans = 1
    for _ in range(MOST):
        marker, at = _next_marker(source, at)
        if marker == EOI:
            return
        if marker in STANDALONE:
            continue
        scans += marker == SOS
        if scans > _MOST_SCANS:
            raise source.broken(f"it has more than {_MOST_SCANS} scans")
        (length,) = source.unpack(">H", at)
        at += max(2, length)
    raise source.broken("it consists of too many parts")


def _next_marker(source: Source, at: int) -> tuple[int, int]:
    """The next marker that is not a restart, from ``at``, and the offset behind it."""
    size = _FIRST
    while at < source.size:
        block = source.up_to(at, size)
        found = _MARKER.search(block)
        if found:
            return found[1][0], at + found.end()
        if len(block) < 2:
            break
        # A marker may straddle two blocks. Many may lie close together, so the first are small.
        at, size = at + len(block) - 1, min(4 * size, _BLOCK)
    raise source.truncated("its picture data breaks off before the end marker")


def iptc_segment(records: bytes) -> bytes:
    """The APP13 segment that holds IPTC-IIM records, for a JPEG being written."""
    block = b"8BIM" + struct.pack(">HHI", IPTC, 0, len(records)) + records
    content = PHOTOSHOP + block + b"\0" * (len(records) % 2)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
