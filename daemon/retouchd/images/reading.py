"""Looking at a file without decoding it: its header, and whether all of it is there."""

from __future__ import annotations

from types import ModuleType
from typing import BinaryIO, Final

from retouchd.errors import TooLarge
from retouchd.images import avif, bmp, jpeg, png, tiff, webp
from retouchd.images.formats import recognise
from retouchd.images.guard import codec
from retouchd.images.header import Header
from retouchd.images.source import Source

CONTAINERS: Final[dict[str, ModuleType]] = {
    "jpeg": jpeg,
    "png": png,
    "webp": webp,
    "tiff": tiff,
    "bmp": bmp,
    "avif": avif,
}
"""Per format the module with ``header``, ``check`` and ``metadata``."""


def read_header(file: BinaryIO, name: str) -> Header:
    """The header of the picture in ``file``, by content and without decoding pixels.

    Raises NotAnImage, Truncated (the header itself is cut off), Unsupported (CMYK, animated,
    several pages, floating point, GIF, raw and so on; its advice says what to do), or a
    TransientError if the file can't be read.
    """
    with codec(name):
        source = Source(file, name)
        header: Header = CONTAINERS[recognise(source)].header(source)
        return header


def check_complete(file: BinaryIO, size: int, name: str) -> None:
    """Raise Truncated (or NotAnImage) unless the file's structure is whole.

    Only headers, lengths and the end are read, so that a file of a gigabyte is checked at once;
    damaged pixels are found by ``decode``. ``size`` is what the file system says: a file that
    yields less is Truncated. Raises Unsupported only where the structure can't be followed.
    """
    with codec(name):
        source = Source(file, name)
        source.expect(size)
        CONTAINERS[recognise(source)].check(source)


def check_size(header: Header, name: str, max_pixels: int) -> None:
    """Raise TooLarge if the picture has more than ``max_pixels`` pixels."""
    if header.pixels > max_pixels:
        raise TooLarge(
            path=name,
            cause=f"it has {header.width} × {header.height} pixels ({header.pixels / 1e6:.1f} "
            f"megapixels), and {max_pixels / 1e6:.1f} megapixels are allowed",
            limit="limits.max_pixels",
        )
