"""XMP packets: made true for the upright, repaired picture (ISO 16684-1)."""

from __future__ import annotations

import re
from typing import Final

_ORIENTATION: Final = (
    (re.compile(rb"(tiff:Orientation\s*=\s*[\"'])\s*\d+\s*([\"'])"), rb"\g<1>1\2"),
    (re.compile(rb"(<tiff:Orientation[^<>]*>)\s*\d+\s*(</tiff:Orientation>)"), rb"\g<1>1\2"),
)
_THUMBNAILS: Final = re.compile(rb"<(?:xmp|xap):Thumbnails\b")
_EXTENDED: Final = re.compile(rb"xmpNote:HasExtendedXMP\s*=\s*([\"'])[^\"']*\1")


def made_true(packet: bytes) -> bytes:
    """The packet with orientation 1, and without thumbnails and links to further packets.

    The upright pixels need no turning; a thumbnail would show what was removed; a second packet
    (JPEG's extended XMP) is not kept.
    """
    for pattern, upright in _ORIENTATION:
        packet = pattern.sub(upright, packet)
    return _EXTENDED.sub(b"", _without_thumbnails(packet))


def _without_thumbnails(packet: bytes) -> bytes:
    """One look at every byte: an expression from tag to tag would look at a packet of opening tags
    once for each of them."""
    kept, at = [], 0
    while found := _THUMBNAILS.search(packet, at):
        closing = b"</" + found[0][1:] + b">"
        end = packet.find(closing, found.end())
        if end < 0:
            break
        kept.append(packet[at : found.start()])
        at = end + len(closing)
    return b"".join((*kept, packet[at:]))
