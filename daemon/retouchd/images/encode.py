"""A Photo → a file's bytes, the same kind of file that it came from unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import cv2
import numpy as np

from retouchd.errors import Unsupported
from retouchd.images import png_write, tiff_write, writers
from retouchd.images.formats import extension
from retouchd.images.guard import codec, with_room
from retouchd.images.metadata import Metadata
from retouchd.images.photo import Photo, Pixels

Format = Literal["same", "png", "jpeg", "webp", "avif"]
Quality = int | Literal["same"]

_COPIES: Final = 16
"""Modern codecs hold several planes in 16 or 32 bits."""
_LONGEST: Final = {"webp": 16383, "jpeg": 65500, "avif": 32768}
_TITLES: Final = {"webp": "WebP", "jpeg": "JPEG", "avif": "AVIF", "png": "PNG", "bmp": "BMP"}
_SPACES: Final = {"GRAY": (1, 2), "RGB ": (3, 4)}


@dataclass(frozen=True)
class Encoded:
    """A file's bytes, the ending for its name (with dot), and what could not be kept."""

    data: bytes
    extension: str
    notes: tuple[str, ...] = ()


def encode(
    photo: Photo,
    *,
    format: Format = "same",
    quality: Quality = "same",
    strip_metadata: bool = False,
    name: str = "the photo",
) -> Encoded:
    """The photo as a file of ``format``, where ``same`` is its source's.

    quality: 1 to 100 for JPEG, WebP and AVIF; ``same`` is the source's own quantisation tables
        and chroma subsampling for JPEG → JPEG, lossless for lossless WebP → WebP; else 92 for
        JPEG and 90 for WebP and AVIF, whose files don't tell what they were made with. Lossless
        formats ignore it.
    strip_metadata: leave out EXIF, XMP, IPTC, DPI and text. The ICC profile stays, because
        colours would look different without it.

    TIFF keeps a lossless compression and takes deflate in place of any other. 16 bits become 8
    in JPEG, WebP and BMP and 10 (or the source's 12) in AVIF, which a note tells.

    Raises Unsupported for alpha into JPEG and for sides that the format can't hold, OutOfMemory,
    or NotAnImage where a codec refuses; ``name`` is for messages.
    """
    kind = photo.metadata.format if format == "same" else format
    _check(photo, kind, name)
    metadata = photo.metadata.stripped() if strip_metadata else photo.metadata
    pixels, notes = _held(photo.pixels, kind)
    metadata, more = _fitting(metadata, kind, pixels)
    with codec(name), with_room(_COPIES * pixels.nbytes, name):
        data, last = _written_somehow(pixels, metadata, kind, quality)
    return Encoded(data, extension(kind), notes + more + last)


def is_lossless(photo: Photo, format: Format = "same") -> bool:
    """Whether ``decode(encode(photo, format=format))`` promises exactly these pixels."""
    kind = photo.metadata.format if format == "same" else format
    channels, depth = photo.pixels.shape[2], photo.pixels.dtype.itemsize * 8
    if kind in ("png", "tiff"):
        return True
    if kind == "bmp":
        return depth == 8 and channels != 2
    if kind == "webp" and depth == 8 and _webp_lossless(photo.metadata):
        # An alpha channel that hides nothing is left out by the encoder.
        return channels == 3 or (channels == 4 and bool(photo.pixels[..., 3].min() < 255))
    return False


def _webp_lossless(metadata: Metadata) -> bool:
    return metadata.format == "webp" and metadata.webp_lossless


def _check(photo: Photo, kind: str, name: str) -> None:
    height, width = photo.pixels.shape[:2]
    if kind == "jpeg" and photo.has_alpha:
        raise Unsupported(
            path=name,
            cause="its result is transparent in places, which a JPEG can't hold",
            fix="Set output.format to png (or webp, avif) in this lane's configuration.",
        )
    longest = _LONGEST.get(kind)
    if longest is not None and max(height, width) > longest:
        raise Unsupported(
            path=name,
            cause=f"{width} × {height} pixels are more than a {_TITLES[kind]} file can hold",
            fix="Set output.format to png in this lane's configuration.",
        )


def _held(pixels: Pixels, kind: str) -> tuple[Pixels, tuple[str, ...]]:
    """The pixels in a depth that the format holds."""
    if pixels.dtype == np.uint8 or kind not in ("jpeg", "webp", "bmp"):
        return pixels, ()
    shape = pixels.shape
    rounded = cv2.convertScaleAbs(pixels, alpha=1 / 257).reshape(shape)
    return rounded.astype(np.uint8, copy=False), (f"16 bits were rounded to 8 for {_TITLES[kind]}",)


def _fitting(metadata: Metadata, kind: str, pixels: Pixels) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata that the format can hold, beside these pixels."""
    notes: list[str] = []
    channels = writers.channels_in(kind, pixels)
    if metadata.icc is not None and kind == "bmp":
        metadata = replace(metadata, icc=None)
        notes.append("BMP can't hold the colour profile")
    elif metadata.icc is not None and channels not in _spaces(metadata.icc):
        metadata = replace(metadata, icc=None)
        notes.append("the colour profile doesn't fit the kind of pixels and is not kept")
    if metadata.iptc is not None and kind not in ("jpeg", "tiff"):
        metadata = replace(metadata, iptc=None)
        notes.append(f"{_TITLES[kind]} can't hold the IPTC captions")
    if kind == "jpeg":
        return _fit_segments(metadata, notes)
    return metadata, tuple(notes)


def _spaces(icc: bytes) -> tuple[int, ...]:
    """The channel counts that a profile is for (ICC.1, header bytes 16 to 19)."""
    return _SPACES.get(icc[16:20].decode("latin-1"), ())


def _fit_segments(metadata: Metadata, notes: list[str]) -> tuple[Metadata, tuple[str, ...]]:
    """A JPEG segment holds 64 KB, and only a colour profile may have several."""

    def fits(content: bytes | None, title: str) -> bytes | None:
        if content is None or len(content) <= writers.LONGEST_SEGMENT:
            return content
        notes.append(f"the {title} too large for a JPEG and not kept")
        return None

    metadata = replace(
        metadata,
        exif=fits(metadata.exif, "EXIF data is"),
        xmp=fits(metadata.xmp, "XMP data is"),
        iptc=fits(metadata.iptc, "IPTC captions are"),
    )
    return metadata, tuple(notes)


def _written_somehow(
    pixels: Pixels, metadata: Metadata, kind: str, quality: Quality
) -> tuple[bytes, tuple[str, ...]]:
    """Written with its metadata, or without what cameras and programs made of it.

    A result must not be lost to an EXIF block that one more library can't read.
    """
    try:
        return _written(pixels, metadata, kind, quality)
    except MemoryError:
        raise
    except Exception:
        bare = replace(metadata.stripped(), icc=None, chunks=())
        if bare == metadata:
            raise
        data, notes = _written(pixels, bare, kind, quality)
        return data, (*notes, "the metadata was damaged and is not kept")


def _written(
    pixels: Pixels, metadata: Metadata, kind: str, quality: Quality
) -> tuple[bytes, tuple[str, ...]]:
    if kind == "png":
        return png_write.write(pixels, metadata), ()
    if kind == "tiff":
        kept = tiff_write.compression_for(metadata) == metadata.tiff_compression
        deflated = metadata.tiff_compression in (8, 32946)
        notes = () if kept or deflated else ("the TIFF's compression became deflate",)
        return tiff_write.write(pixels, metadata), notes
    if kind == "bmp":
        return writers.bmp_file(pixels, metadata), ()
    if kind == "webp":
        lossless = quality == "same" and _webp_lossless(metadata)
        return writers.webp_file(pixels, metadata, quality, lossless), ()
    if kind == "avif":
        return writers.avif_file(pixels, metadata, quality)
    return writers.jpeg_file(pixels, metadata, quality)
