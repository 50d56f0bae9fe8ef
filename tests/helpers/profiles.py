"""ICC profiles whose effect can be told by hand."""

from __future__ import annotations

from PIL import ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped(profile: bytes = SRGB) -> bytes:
    """The same with its red and green primaries exchanged: the numbers of both change places."""
    table, count = bytearray(profile), int.from_bytes(profile[128:132], "big")
    for entry in range(132, 132 + 12 * count, 12):
        if bytes(table[entry : entry + 4]) in (b"rXYZ", b"gXYZ"):
            table[entry : entry + 4] = b"gXYZ" if table[entry] == ord("r") else b"rXYZ"
    return bytes(table)
