"""A file's bytes → a Photo: strict, upright, with every bit that was stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO, Final, cast

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

from retouchd.images import exif, jpeg, opencv, png, tiff, tiff_pixels, xmp
from retouchd.images.formats import recognise
from retouchd.images.guard import codec, no_pixel_limit, with_room
from retouchd.images.header import Header
from retouchd.images.metadata import Metadata
from retouchd.images.orient import TURNED, swaps_sides, upright
from retouchd.images.photo import Allocate, Photo, Pixels
from retouchd.images.reading import CONTAINERS, check_size
from retouchd.images.source import Source

_COPIES: Final = 4
_BYTES_PER_PIXEL: Final = 4
_PART: Final = 1 << 18
_DIRECT: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def decode(
    data: bytes | BinaryIO, name: str, max_pixels: int, allocate: Allocate = np.empty
) -> Photo:
    """The picture in ``data``, bytes or an open file.

    name: for messages. max_pixels: the most that is decoded. allocate: makes the array that is
    returned, and nothing else that is as large; where a first attempt fails, it is called again.

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
            pixels, more = _DECODERS[format](source, header, allocate)
        if pixels.shape[:2][::-1] != header.upright_size:
            raise source.broken("its picture data has another size than its header says")
        return Photo(pixels, metadata, notes + more)


def decode_parts(data: bytes | BinaryIO, name: str, max_pixels: int) -> Iterator[Pixels]:
    """The rows of what ``decode`` gives, from the top on; raises the same.

    A TIFF of 16 bits comes in parts of a few megabytes, all others at once.
    """
    with codec(name):
        source = Source.of(data, name)
        if recognise(source) == "tiff":
            header = tiff.header(source)
            check_size(header, name, max_pixels)
            tiff.check(source)
            if header.bit_depth == 16 and header.orientation not in TURNED:
                yield from tiff_pixels.decode_parts(tiff.picture(source).page)
                return
    yield decode(data, name, max_pixels).pixels


def _true_metadata(raw: Metadata, header: Header) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata as they hold for the upright picture."""
    raw, notes = raw.bounded()
    block = raw.exif
    if block is not None:
        block = exif.made_true(block, swaps_sides(header.orientation))
        notes += () if block is not None else ("the EXIF data was damaged and is not kept",)
    packet = None if raw.xmp is None else xmp.made_true(raw.xmp)
    dpi = raw.dpi
    if dpi is not None and swaps_sides(header.orientation):
        dpi = dpi[::-1]
    return replace(raw, exif=block, xmp=packet, dpi=dpi), notes


Decoded = tuple[Pixels, tuple[str, ...]]


def _jpeg(source: Source, header: Header, allocate: Allocate) -> Decoded:
    jpeg.check_scans(source)
    pixels = opencv.read(source, header, _first(header, allocate))
    if pixels is None:
        # Pillow reads rarer kinds (arithmetic coding), at more cost, and says what is wrong.
        with source.opened() as file, JpegImagePlugin.JpegImageFile(file) as image:
            pixels = _array(image, _first(header, allocate))
    return upright(pixels, header.orientation, allocate), ()


def _first(header: Header, allocate: Allocate) -> Allocate:
    """What a picture is decoded into: its last array, unless it is turned into that."""
    return np.empty if header.orientation in TURNED else allocate


def _bmp(source: Source, header: Header, allocate: Allocate) -> Decoded:
    with source.opened() as file, BmpImagePlugin.BmpImageFile(file) as image:
        return _array(image, allocate), ()


def _webp(source: Source, header: Header, allocate: Allocate) -> Decoded:
    # Pillow's decoder holds two canvases for animations, and has a pixel limit of its own.
    pixels = _sound(source, opencv.read(source, header, _first(header, allocate)))
    return upright(pixels, header.orientation, allocate), ()


def _png(source: Source, header: Header, allocate: Allocate) -> Decoded:
    png.check_sums(source)
    frame = png.frame(source)
    if frame.colour == png.GRAY_ALPHA and frame.depth == 16:
        disguised = png.with_frame(source.whole(), 8, png.RGB_ALPHA)
        bytewise = _sound(source, opencv.decoded(disguised))
        pixels: Pixels = bytewise.view(">u2").astype(np.uint16)
    elif frame.colour in (png.RGB, png.RGB_ALPHA) or _is_plain_gray(source, frame):
        pixels = _sound(source, opencv.read(source, header, _first(header, allocate)))
    else:
        png.check_rows(source)
        with source.opened() as file, PngImagePlugin.PngImageFile(file) as image:
            found = _array(image, _first(header, allocate))
        pixels = _keyed(found, png.transparent_gray(source))
    return upright(pixels, header.orientation, allocate), ()


def _is_plain_gray(source: Source, frame: png.Frame) -> bool:
    return frame.colour == png.GRAY and png.transparent_gray(source) is None


def _keyed(pixels: Pixels, key: int | None) -> Pixels:
    """Gray pixels with an alpha channel that is 0 where they equal the key."""
    if key is None or pixels.shape[2] != 1:
        return pixels
    opaque = np.full_like(pixels, np.iinfo(pixels.dtype).max)
    opaque[pixels == key] = 0
    return cast(Pixels, np.concatenate((pixels, opaque), axis=2))


def _tiff(source: Source, header: Header, allocate: Allocate) -> Decoded:
    found = tiff.picture(source)
    notes = tiff.notes(found.page)
    if header.bit_depth == 16:
        samples = tiff_pixels.decode(found.page, _first(header, allocate))
        return upright(samples, header.orientation, allocate), notes
    with (
        no_pixel_limit(),
        source.opened() as file,
        TiffImagePlugin.TiffImageFile(file) as image,
    ):
        image.seek(found.number)
        # Pillow turns TIFFs, and only these, upright while loading.
        return _array(image, allocate), notes


def _avif(source: Source, header: Header, allocate: Allocate) -> Decoded:
    if header.bit_depth == 8:
        with source.opened() as file, AvifImagePlugin.AvifImageFile(file) as image:
            pixels: Pixels = _array(image, _first(header, allocate))
    else:
        stored = _sound(source, opencv.decoded(source.whole()))
        largest = (1 << header.bit_depth) - 1
        wide = (stored.astype(np.uint32) * 65535 + largest // 2) // largest
        pixels = np.minimum(wide, 65535).astype(np.uint16)
    if header.mode == "gray" and pixels.shape[2] >= 3:
        kept = pixels[..., [0, 3]] if header.has_alpha else pixels[..., :1]
        pixels = cast(Pixels, np.ascontiguousarray(kept))
    # Neither decoder applies irot and imir.
    return upright(pixels, header.orientation, allocate), ()


_DECODERS: Final[dict[str, Callable[[Source, Header, Allocate], Decoded]]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "tiff": _tiff,
    "bmp": _bmp,
    "avif": _avif,
}


def _sound(source: Source, pixels: Pixels | None) -> Pixels:
    if pixels is None:
        raise source.broken("its picture data is damaged")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise source.broken("its samples are of an unknown kind")
    return pixels


def _array(image: ImageFile.ImageFile, allocate: Allocate) -> Pixels:
    """The decoded pixels [H, W, C] of a Pillow image of 8 bits, or of 16-bit gray."""
    image.load()
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16, copy=False)[..., np.newaxis]
    plain = image if image.mode in _DIRECT else image.convert(_plain_mode(image))
    pixels = allocate((plain.height, plain.width, _DIRECT[plain.mode]), "uint8")
    # Part by part: Pillow packs a picture into pieces and joins those, which takes it twice more.
    rows = max(1, _PART // (plain.width * pixels.shape[2]))
    for top in range(0, plain.height, rows):
        end = min(top + rows, plain.height)
        part = np.asarray(plain.crop((0, top, plain.width, end)))
        pixels[top:end] = part.reshape(end - top, plain.width, -1)
    return pixels


def _plain_mode(image: Image.Image) -> str:
    if image.mode == "1":
        return "L"
    if image.mode == "La":
        return "LA"
    if image.mode == "PA" or (image.mode == "P" and "transparency" in image.info):
        return "RGBA"
    return "RGB"
