"""Pixels and metadata → the bytes of a JPEG, WebP, AVIF or BMP file."""

from __future__ import annotations

import io
from typing import Any, Final, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from retouchd.images import bmp, exif, jpeg
from retouchd.images.metadata import JpegTraits, Metadata
from retouchd.images.photo import Pixels

Quality = int | Literal["same"]
Written = tuple[bytes, tuple[str, ...]]

LONGEST_SEGMENT: Final = 65_400
_JPEG_QUALITY: Final = 92
_QUALITY: Final = 90
_SAMPLINGS: Final = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
_FULL_CHROMA_FROM: Final = 90
_MOST_OPTIMISED: Final = 1 << 26
"""Pixels. Tables made for a picture save a few per cent, but hold all of it in 16 bits."""


def channels_in(kind: str, pixels: Pixels) -> int:
    """How many channels are stored: WebP has no gray, and OpenCV's AVIF no gray with alpha."""
    channels: int = pixels.shape[2]
    if channels <= 2 and kind == "webp":
        return channels + 2
    if channels == 2 and kind == "avif" and pixels.dtype == np.uint16:
        return 4
    return channels


def _image(pixels: Pixels) -> Image.Image:
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return Image.fromarray(np.ascontiguousarray(flat))


def _for_jpeg(pixels: Pixels) -> Image.Image:
    """Pillow's JPEG encoder reads gray, and RGB at four bytes a pixel, where they lie."""
    height, width, channels = pixels.shape
    mode = "L" if channels == 1 else "RGBX"
    plain = pixels if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)
    lying = np.ascontiguousarray(plain)
    return Image.frombuffer(mode, (width, height), lying, "raw", mode, 0, 1)


def _saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **{key: value for key, value in options.items() if value is not None})
    return stream.getvalue()


def jpeg_file(pixels: Pixels, metadata: Metadata, quality: Quality) -> Written:
    """Pixels [H, W, 1 or 3] uint8; with the source's own tables if the quality is the same."""
    notes: tuple[str, ...] = ()
    traits = metadata.jpeg
    if quality == "same" and traits is not None and _fits(traits, pixels):
        options, notes = _same_coding(traits, pixels.shape[2] == 1)
        if pixels[..., 0].size > _MOST_OPTIMISED:
            options["optimize"] = None
    else:
        wanted = _JPEG_QUALITY if quality == "same" else quality
        options = {"quality": wanted, "subsampling": 0 if wanted >= _FULL_CHROMA_FROM else 2}
    options |= {
        "exif": None if metadata.exif is None else exif.PREFIX + metadata.exif,
        "icc_profile": metadata.icc,
        "xmp": metadata.xmp,
        "comment": metadata.comment,
        "dpi": metadata.dpi,
        "extra": None if metadata.iptc is None else jpeg.iptc_segment(metadata.iptc),
    }
    return _saved_jpeg(_for_jpeg(pixels), options), notes


def _saved_jpeg(image: Image.Image, options: dict[str, Any]) -> bytes:
    try:
        return _saved(image, "JPEG", options)
    except OSError:
        # Pillow guesses the size of progressive and optimised files, and guesses too low for
        # noise at the highest quality. Its buffer's size is a global; it is put back.
        before = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = before + 8 * image.width * image.height
        try:
            return _saved(image, "JPEG", options)
        finally:
            ImageFile.MAXBLOCK = before


def _fits(traits: JpegTraits, pixels: Pixels) -> bool:
    """Whether the source had tables for these colours: a gray JPEG has none for chroma."""
    return pixels.shape[2] == 1 or len(traits.tables) > 1


def _same_coding(traits: JpegTraits, gray: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    options: dict[str, Any] = {
        "qtables": [list(table) for table in traits.tables],
        "progressive": traits.progressive or None,
        "optimize": traits.optimised or None,
    }
    if gray:
        return options | {"qtables": options["qtables"][:1]}, ()
    sampling = _SAMPLINGS.get(traits.sampling)
    notes = () if sampling is not None else ("the JPEG's rare chroma subsampling became 4:4:4",)
    return options | {"subsampling": sampling or 0, "keep_rgb": traits.rgb or None}, notes


def webp_file(pixels: Pixels, metadata: Metadata, quality: Quality, lossless: bool) -> bytes:
    """Pixels [H, W, C] uint8; gray is stored as RGB, since WebP has nothing else."""
    image, mode = _image(pixels), "RGBA" if pixels.shape[2] in (2, 4) else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    options = {
        "lossless": lossless or None,
        # Also keeps the colour of pixels that are wholly transparent.
        "exact": lossless or None,
        "quality": _QUALITY if quality == "same" else quality,
        "method": 4,
        "exif": metadata.exif,
        "icc_profile": metadata.icc,
        "xmp": metadata.xmp,
    }
    return _saved(image, "WEBP", options)


def bmp_file(pixels: Pixels, metadata: Metadata) -> bytes:
    """Pixels [H, W, C] uint8; gray with alpha is stored as RGBA."""
    height, width, channels = pixels.shape
    if channels in (1, 3):
        return _saved(_image(pixels), "BMP", {"dpi": metadata.dpi})
    rows = pixels[..., [2, 1, 0, 3] if channels == 4 else [0, 0, 0, 1]][::-1]
    return bmp.rgba_header(width, height, metadata.dpi) + rows.tobytes()


def _bgr(pixels: Pixels) -> Pixels:
    if pixels.shape[2] == 3:
        return cast(Pixels, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    if pixels.shape[2] == 4:
        return cast(Pixels, cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
    return pixels


def avif_file(pixels: Pixels, metadata: Metadata, quality: Quality) -> Written:
    """Pixels [H, W, C]; uint16 is stored with the source's 10 or 12 bits, else with 10."""
    wanted = _QUALITY if quality == "same" else quality
    if pixels.dtype == np.uint16:
        return _deep_avif(pixels, metadata, wanted)
    image = _image(pixels)
    gray = pixels.shape[2] <= 2
    if pixels.shape[2] == 2:
        image = image.convert("RGBA")
    source = metadata.avif_subsampling
    subsampling = "4:0:0" if gray else source if source not in (None, "4:0:0") else "4:4:4"
    options = {
        "quality": wanted,
        "subsampling": subsampling,
        "exif": metadata.exif,
        "icc_profile": metadata.icc,
        "xmp": metadata.xmp,
    }
    return _saved(image, "AVIF", options), ()


def _deep_avif(pixels: Pixels, metadata: Metadata, quality: int) -> Written:
    depth = metadata.bit_depth if metadata.bit_depth in (10, 12) else 10
    largest = (1 << depth) - 1
    stored = ((pixels.astype(np.uint32) * largest + 32767) // 65535).astype(np.uint16)
    notes = () if metadata.bit_depth == depth else (f"16 bits were rounded to {depth} for AVIF",)
    if stored.shape[2] == 2:
        stored = np.ascontiguousarray(stored[..., [0, 0, 0, 1]])
    beside = {
        cv2.IMAGE_METADATA_EXIF: metadata.exif,
        cv2.IMAGE_METADATA_XMP: metadata.xmp,
        cv2.IMAGE_METADATA_ICCP: metadata.icc,
    }
    blocks: dict[int, NDArray[np.uint8]] = {
        kind: np.frombuffer(block, np.uint8) for kind, block in beside.items() if block is not None
    }
    done, data = cv2.imencodeWithMetadata(
        ".avif",
        _bgr(stored),
        list(blocks),
        list(blocks.values()),
        [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, quality],
    )
    if not done:
        raise ValueError("the encoder gave up")
    return data.tobytes(), notes
