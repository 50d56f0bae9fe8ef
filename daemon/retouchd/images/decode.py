"""A file's bytes → a Photo: strict, upright, with every bit that was stored."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

import cv2
import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
)

from retouchd.images import exif, png, tiff, tiff_pixels, xmp
from retouchd.images.formats import recognise
from retouchd.images.guard import codec, no_pixel_limit, with_room
from retouchd.images.header import Header
from retouchd.images.metadata import Metadata
from retouchd.images.orient import swaps_sides, upright
from retouchd.images.photo import Photo, Pixels
from retouchd.images.reading import CONTAINERS, check_size
from retouchd.images.source import Source

_COPIES: Final = 4
_BYTES_PER_PIXEL: Final = 4
_DIRECT: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def decode(data: bytes, name: str, max_pixels: int) -> Photo:
    """The picture in ``data``; ``name`` is for messages, ``max_pixels`` the most that is decoded.

    8-bit pictures give uint8; 16-bit gray, RGB and RGBA give uint16 with every bit; AVIF of 10
    or 12 bits gives uint16 scaled to the full range. Palettes become RGB or RGBA, bilevel
    pictures gray, colour keys alpha. The orientation of EXIF (for AVIF: of irot and imir) is
    applied, and the metadata say so.

    Raises TooLarge (before any pixel is decoded), Truncated, NotAnImage, Unsupported, or
    OutOfMemory; nothing else. A JPEG's entropy-coded data has no checksum: damage there that
    keeps its end marker can't be seen.
    """
    with codec(name):
        source = Source.of(data, name)
        format = recognise(source)
        header: Header = CONTAINERS[format].header(source)
        check_size(header, name, max_pixels)
        CONTAINERS[format].check(source)
        metadata, notes = _true_metadata(CONTAINERS[format].metadata(source), header)
        with with_room(_COPIES * header.width * header.height * _BYTES_PER_PIXEL, name):
            pixels, more = _DECODERS[format](source, data, header)
        if pixels.shape[:2][::-1] != header.upright_size:
            raise source.broken("its picture data has another size than its header says")
        return Photo(pixels, metadata, notes + more)


def _true_metadata(raw: Metadata, header: Header) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata as they hold for the upright picture."""
    block, notes = raw.exif, tuple[str, ...]()
    if block is not None:
        block = exif.made_true(block, swaps_sides(header.orientation))
        notes = () if block is not None else ("the EXIF data was damaged and is not kept",)
    packet = None if raw.xmp is None else xmp.made_true(raw.xmp)
    dpi = raw.dpi
    if dpi is not None and swaps_sides(header.orientation):
        dpi = dpi[::-1]
    return replace(raw, exif=block, xmp=packet, dpi=dpi), notes


Decoded = tuple[Pixels, tuple[str, ...]]


def _jpeg(source: Source, data: bytes, header: Header) -> Decoded:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        return upright(_array(image), header.orientation), ()


def _bmp(source: Source, data: bytes, header: Header) -> Decoded:
    with BmpImagePlugin.BmpImageFile(io.BytesIO(data)) as image:
        return _array(image), ()


def _webp(source: Source, data: bytes, header: Header) -> Decoded:
    # Pillow's decoder holds two canvases for animations, and has a pixel limit of its own.
    return upright(_by_opencv(source, data), header.orientation), ()


def _png(source: Source, data: bytes, header: Header) -> Decoded:
    png.check_sums(source)
    frame = png.frame(source)
    if frame.colour == png.GRAY_ALPHA and frame.depth == 16:
        bytewise = _by_opencv(source, png.with_frame(data, 8, png.RGB_ALPHA))
        pixels: Pixels = bytewise.view(">u2").astype(np.uint16)
    elif frame.colour in (png.RGB, png.RGB_ALPHA):
        pixels = _by_opencv(source, data)
    else:
        png.check_rows(source)
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            pixels = _keyed(_array(image), png.transparent_gray(source))
    return upright(pixels, header.orientation), ()


def _keyed(pixels: Pixels, key: int | None) -> Pixels:
    """Gray pixels with an alpha channel that is 0 where they equal the key."""
    if key is None or pixels.shape[2] != 1:
        return pixels
    opaque = np.full_like(pixels, np.iinfo(pixels.dtype).max)
    opaque[pixels == key] = 0
    return cast(Pixels, np.concatenate((pixels, opaque), axis=2))


def _tiff(source: Source, data: bytes, header: Header) -> Decoded:
    found = tiff.picture(source)
    notes = tiff.notes(found.page)
    if header.bit_depth == 16:
        return upright(tiff_pixels.decode(found.page), header.orientation), notes
    with no_pixel_limit(), TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as image:
        image.seek(found.number)
        # Pillow turns TIFFs, and only these, upright while loading.
        return _array(image), notes


def _avif(source: Source, data: bytes, header: Header) -> Decoded:
    if header.bit_depth == 8:
        with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as image:
            pixels: Pixels = _array(image)
    else:
        stored = _by_opencv(source, data)
        largest = (1 << header.bit_depth) - 1
        wide = (stored.astype(np.uint32) * 65535 + largest // 2) // largest
        pixels = np.minimum(wide, 65535).astype(np.uint16)
    if header.mode == "gray" and pixels.shape[2] >= 3:
        kept = pixels[..., [0, 3]] if header.has_alpha else pixels[..., :1]
        pixels = cast(Pixels, np.ascontiguousarray(kept))
    # Neither decoder applies irot and imir.
    return upright(pixels, header.orientation), ()


_DECODERS: Final[dict[str, Callable[[Source, bytes, Header], Decoded]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "tiff": _tiff,
    "bmp": _bmp,
    "avif": _avif,
}


def _by_opencv(source: Source, data: bytes) -> Pixels:
    """[H, W, C] in RGB order, not turned."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise source.broken("its picture data is damaged")
    if found.dtype not in (np.uint8, np.uint16):
        raise source.broken("its samples are of an unknown kind")
    if found.ndim == 2:
        found = found[..., np.newaxis]
    elif found.shape[2] == 3:
        found = cv2.cvtColor(found, cv2.COLOR_BGR2RGB, dst=found)
    else:
        found = cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA, dst=found)
    return cast(Pixels, found)


def _array(image: ImageFile.ImageFile) -> Pixels:
    """The decoded pixels [H, W, C] of a Pillow image of 8 bits, or of 16-bit gray."""
    image.load()
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16, copy=False)[..., np.newaxis]
    plain = image if image.mode in _DIRECT else image.convert(_plain_mode(image))
    return np.asarray(plain).reshape(plain.height, plain.width, _DIRECT[plain.mode])


def _plain_mode(image: Image.Image) -> str:
    if image.mode == "1":
        return "L"
    if image.mode == "La":
        return "LA"
    if image.mode == "PA" or (image.mode == "P" and "transparency" in image.info):
        return "RGBA"
    return "RGB"
