"""XMP packets: made true for the upright, repaired picture (ISO 16684-1)."""

from __future__ import annotations

import re
from typing import Final

_ORIENTATION: Final = (
    (re.compile(rb"(tiff:Orientation\s*=\s*[\"'])\s*\d+\s*([\"'])"), rb"\g<1>1\2"),
    (re.compile(rb"(<tiff:Orientation[^>]*>)\s*\d+\s*(</tiff:Orientation>)"), rb"\g<1>1\2"),
)
_THUMBNAILS: Final = re.compile(rb"<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails>", re.DOTALL)
_EXTENDED: Final = re.compile(rb"\s*xmpNote:HasExtendedXMP\s*=\s*([\"'])[^\"']*\1")


def made_true(packet: bytes) -> bytes:
    """The packet with orientation 1, and without thumbnails and links to further packets.

    The upright pixels need no turning; a thumbnail would show what was removed; a second packet
    (JPEG's extended XMP) is not kept.
    """
    for pattern, upright in _ORIENTATION:
        packet = pattern.sub(upright, packet)
    return _EXTENDED.sub(b"", _THUMBNAILS.sub(b"", packet))
