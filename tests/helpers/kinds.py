"""One picture in every kind of file that is worked on."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

HEIGHT, WIDTH = 72, 96
HOLE = (slice(20, 44), slice(30, 66))


@dataclass(frozen=True)
class Kind:
    """A file. suffix: with its dot. whole: how many of its bytes are the picture; a phone's second
    picture lies behind them."""

    name: str
    suffix: str
    data: bytes
    whole: int


@cache
def photos() -> dict[str, Kind]:
    """A photo [72, 96] in each kind of file, by the kind's name."""
    return _kinds(_photo())


@cache
def masks() -> dict[str, Kind]:
    """A mask for it, white where ``HOLE`` is, opaque, in the same kinds."""
    mask = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    mask[HOLE] = 255
    mask[..., 3] = 255
    return _kinds(mask)


def _photo() -> np.ndarray:
    """Smooth colours with some noise, RGBA."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    smooth = np.dstack([x * 2, y * 3, x + y, 255 - x])
    noise = np.random.default_rng(1).integers(0, 24, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def _kinds(pixels: np.ndarray) -> dict[str, Kind]:
    """pixels: [H, W, 4] uint8, RGBA."""
    colour, grey = np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 0])
    deep, palette = colour.astype(np.uint16) * 257, Image.fromarray(colour).quantize(16)
    files = {
        "jpeg": saved("JPEG", colour, quality=90),
        "jpeg, progressive": saved("JPEG", colour, quality=90, progressive=True),
        "jpeg, gray": saved("JPEG", grey),
        "jpeg, thumbnail": with_thumbnail(colour),
        "mpo": _two_in_one(colour),
        "png": saved("PNG", colour),
        "png, gray": saved("PNG", grey),
        "png, palette": saved("PNG", palette),
        "png, bilevel": saved("PNG", Image.fromarray(grey).convert("1")),
        "png, alpha": saved("PNG", pixels),
        "png, 16": by_opencv(".png", deep[..., ::-1]),
        "png, gray alpha 16": _by_ourselves("png", deep[..., [0, 0]], 16),
        "webp": saved("WEBP", colour, quality=80),
        "webp, lossless": saved("WEBP", colour, lossless=True),
        "webp, alpha": saved("WEBP", pixels, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
        "tiff": saved("TIFF", colour),
        "tiff, lzw": saved("TIFF", colour, compression="tiff_lzw"),
        "tiff, jpeg": saved("TIFF", colour, compression="jpeg"),
        "tiff, 16": tiff(deep),
        "tiff, 16 deflate tiles": tiff(deep, compression="zlib", tile=(32, 32)),
        "tiff, big endian": tiff(deep, byteorder=">", bigtiff=True, compression="zlib"),
        "bmp": saved("BMP", colour),
        "bmp, palette": saved("BMP", palette),
        "avif": saved("AVIF", colour, quality=70),
        "avif, alpha": saved("AVIF", pixels, quality=70),
        "avif, 10": _by_ourselves("avif", deep, 10),
    }
    return {name: _kind(name, data) for name, data in files.items()}


def _kind(name: str, data: bytes) -> Kind:
    family = name.partition(",")[0]
    suffix = {"jpeg": ".jpg", "mpo": ".jpg", "tiff": ".tif"}.get(family, f".{family}")
    whole = data.index(b"\xff\xd9") + 2 if name == "mpo" else len(data)
    return Kind(name, suffix, data, whole)


def saved(format: str, pixels: np.ndarray | Image.Image, **options: Any) -> bytes:
    """Encoded by Pillow."""
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, format, **options)
    return stream.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """Encoded by tifffile."""
    stream = io.BytesIO()
    colours = "rgb" if pixels.ndim == 3 else "minisblack"
    bigtiff = options.pop("bigtiff", False)
    with tifffile.TiffWriter(stream, bigtiff=bigtiff, byteorder=options.pop("byteorder", "<")) as t:
        t.write(pixels, photometric=colours, metadata=None, **options)
    return stream.getvalue()


def by_opencv(suffix: str, pixels: np.ndarray) -> bytes:
    """Encoded by OpenCV, from its order of channels."""
    data: np.ndarray = cv2.imencode(suffix, pixels)[1]
    return data.tobytes()


def _by_ourselves(format: Any, pixels: np.ndarray, depth: int) -> bytes:
    """What no other library at hand writes."""
    from retouchd.images import Metadata, Photo, encode

    return encode(Photo(pixels, Metadata(format, bit_depth=depth))).data


def with_thumbnail(colour: np.ndarray) -> bytes:
    """A JPEG with a second directory with a small picture, as cameras write it."""
    block = Image.Exif()
    block[0x010F] = "Acme"
    small = saved("JPEG", np.ascontiguousarray(colour[:24, :24]))
    data = block.tobytes()[6:]
    at = len(data) + len(data) % 2
    head = bytearray(data.ljust(at, b"\0"))
    struct.pack_into(">I", head, 8 + 2 + 12, at)
    second = struct.pack(">HHHIIHHIII", 2, 0x201, 4, 1, at + 30, 0x202, 4, 1, len(small), 0)
    return saved("JPEG", colour, exif=b"Exif\0\0" + bytes(head) + second + small)


def _two_in_one(colour: np.ndarray) -> bytes:
    other = Image.fromarray(colour[::-1].copy())
    return saved("MPO", colour, save_all=True, append_images=[other])
