"""The pictures that docs/pictures.md speaks of, as files."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import tifffile
from PIL import Image

from helpers.kinds import by_opencv, saved, tiff

HEIGHT, WIDTH = 120, 168


def photo(channels: int = 3, deep: bool = False) -> np.ndarray:
    """Smooth colours [120, 168, channels], RGB order; alpha varies."""
    noise = np.random.default_rng(channels).integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5).reshape(noise.shape)
    eight = cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).reshape(noise.shape)
    return eight.astype(np.uint16) * 257 + 3 if deep else eight


def film(format: str, pages: int = 2, **options: object) -> bytes:
    frames = [Image.fromarray(np.roll(photo(), 9 * i, axis=0)) for i in range(pages)]
    return saved(format, frames[0], save_all=True, append_images=frames[1:], **options)


def grey(deep: bool = False) -> np.ndarray:
    return photo(1, deep)[..., 0]


def palette(**options: object) -> bytes:
    return saved("PNG", Image.fromarray(photo()).quantize(64), **options)


def with_reduced_page() -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        small = np.ascontiguousarray(photo()[::2, ::2])
        writer.write(photo(), photometric="rgb", metadata=None)
        writer.write(small, photometric="rgb", subfiletype=1, metadata=None)
    return stream.getvalue()


def gray_tiff(pixels: np.ndarray, photometric: str = "minisblack") -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric=photometric, metadata=None)
    return stream.getvalue()


def deep_avif() -> bytes:
    from retouchd.images import Metadata, Photo, encode

    return encode(Photo(photo(3, True), Metadata("avif", bit_depth=10))).data


def heic() -> bytes:
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60)


def raw() -> bytes:
    """As most cameras': a preview in front, and the sensor's data behind, in a TIFF's order."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        small = np.ascontiguousarray(photo()[::2, ::2])
        writer.write(small, subfiletype=1, subifds=1, photometric="rgb", metadata=None)
        writer.write(grey(True), photometric="cfa", metadata=None)
    return stream.getvalue()


def lab() -> bytes:
    return saved("TIFF", Image.fromarray(photo()).convert("LAB"))


def rgba16() -> bytes:
    return by_opencv(".png", photo(4, True)[..., [2, 1, 0, 3]])


CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JPEG, colour": (".jpg", lambda: saved("JPEG", photo(), quality=90)),
    "JPEG, gray": (".jpg", lambda: saved("JPEG", grey(), quality=90)),
    "JPEG, progressive": (".jpg", lambda: saved("JPEG", photo(), progressive=True)),
    "JPEG, several pictures in one (MPO)": (".jpg", lambda: film("MPO")),
    "JPEG, CMYK": (".jpg", lambda: saved("JPEG", Image.fromarray(photo()).convert("CMYK"))),
    "PNG, RGB, 8 bits": (".png", lambda: saved("PNG", photo())),
    "PNG, RGB, 16 bits": (".png", lambda: by_opencv(".png", photo(3, True)[..., ::-1])),
    "PNG, RGBA, 8 bits": (".png", lambda: saved("PNG", photo(4))),
    "PNG, RGBA, 16 bits": (".png", rgba16),
    "PNG, gray, 8 bits": (".png", lambda: saved("PNG", grey())),
    "PNG, gray, 16 bits": (".png", lambda: by_opencv(".png", grey(True))),
    "PNG, gray and alpha": (".png", lambda: saved("PNG", Image.fromarray(photo(2), "LA"))),
    "PNG, gray, 1 bit": (".png", lambda: saved("PNG", Image.fromarray(grey()).convert("1"))),
    "PNG, palette": (".png", palette),
    "PNG, palette, partly transparent": (".png", lambda: palette(transparency=3)),
    "PNG, animated": (".png", lambda: film("PNG")),
    "WebP, lossy": (".webp", lambda: saved("WEBP", photo(), quality=90)),
    "WebP, lossless": (".webp", lambda: saved("WEBP", photo(), lossless=True)),
    "WebP, with alpha": (".webp", lambda: saved("WEBP", photo(4), lossless=True, exact=True)),
    "WebP, animated": (".webp", lambda: film("WEBP")),
    "TIFF, RGB, 8 bits": (".tif", lambda: saved("TIFF", photo())),
    "TIFF, RGB, 16 bits": (".tif", lambda: tiff(photo(3, True))),
    "TIFF, RGBA, 16 bits": (".tif", lambda: tiff(photo(4, True), extrasamples=["unassalpha"])),
    "TIFF, gray, 8 bits": (".tif", lambda: gray_tiff(grey())),
    "TIFF, gray, 16 bits": (".tif", lambda: gray_tiff(grey(True))),
    "TIFF, white is zero": (".tif", lambda: gray_tiff(255 - grey(), "miniswhite")),
    "TIFF, big endian": (".tif", lambda: tiff(photo(3, True), byteorder=">")),
    "TIFF, BigTIFF": (".tif", lambda: tiff(photo(3, True), bigtiff=True)),
    "TIFF, in tiles": (".tif", lambda: tiff(photo(), tile=(32, 48), compression="zlib")),
    "TIFF, palette": (".tif", lambda: saved("TIFF", Image.fromarray(photo()).quantize(64))),
    "TIFF, with a reduced page": (".tif", with_reduced_page),
    "TIFF, two pages": (".tif", lambda: film("TIFF")),
    "TIFF, CMYK": (".tif", lambda: saved("TIFF", Image.fromarray(photo()).convert("CMYK"))),
    "TIFF, Lab": (".tif", lab),
    "TIFF, floating point": (".tif", lambda: gray_tiff(grey().astype(np.float32))),
    "TIFF, 32 bits": (".tif", lambda: gray_tiff(grey().astype(np.uint32))),
    "BMP, RGB": (".bmp", lambda: saved("BMP", photo())),
    "BMP, palette": (".bmp", lambda: saved("BMP", Image.fromarray(photo()).quantize(64))),
    "AVIF, 8 bits": (".avif", lambda: saved("AVIF", photo(), quality=95)),
    "AVIF, 10 bits": (".avif", deep_avif),
    "AVIF, with alpha": (".avif", lambda: saved("AVIF", photo(4), quality=95)),
    "AVIF, animated": (".avif", lambda: film("AVIF")),
    "GIF": (".png", lambda: saved("GIF", photo())),
    "JPEG 2000": (".jpg", lambda: saved("JPEG2000", photo())),
    "JPEG XL": (".jxl", lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60)),
    "HEIC (iPhones)": (".heic", heic),
    "HEIC, called .jpg": (".jpg", heic),
    "camera raw (DNG, NEF, ARW, …)": (".dng", raw),
    "camera raw (CR2)": (".cr2", lambda: b"II*\0\x10\0\0\0CR\2\0" + bytes(60)),
    "Photoshop (PSD, PSB)": (".psd", lambda: b"8BPS\0\1" + bytes(60)),
    "PDF": (".pdf", lambda: saved("PDF", photo())),
}
"""Each row of the first table, and a file like that."""
