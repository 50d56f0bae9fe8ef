"""What is not worked on is refused in words that say what to do."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import Image

from retouchd.errors import NotAnImage, Unsupported
from retouchd.images import SUFFIXES, decode, decode_mask, read_header

LIMIT = 1_000_000


def image(mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(5)
    return Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).convert(mode)


def saved(format: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    image(mode).save(stream, format, **options)
    return stream.getvalue()


def film(format: str) -> bytes:
    return saved(
        format, save_all=True, append_images=[image().rotate(90, expand=False)], duration=99
    )


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, metadata=None, **options)
    return stream.getvalue()


def raw_like_tiff() -> bytes:
    """A page that is only a preview, with the sensor's data in a sub-directory: as NEF and ARW."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        small = np.zeros((8, 8, 3), np.uint8)
        full = np.zeros((16, 16), np.uint16)
        writer.write(small, subfiletype=1, subifds=1, photometric="rgb", metadata=None)
        writer.write(full, photometric="cfa", metadata=None)
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("photo.jpg", saved("JPEG"))
    return stream.getvalue()


def nclx_avif() -> bytes:
    data = saved("AVIF")
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :]


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "CMYK JPEG": (lambda: saved("JPEG", "CMYK"), "CMYK"),
    "CMYK TIFF": (lambda: saved("TIFF", "CMYK"), "CMYK"),
    "Lab TIFF": (lambda: saved("TIFF", "LAB"), "Lab"),
    "animated WebP": (lambda: film("WEBP"), "animated"),
    "animated PNG": (lambda: film("PNG"), "animated"),
    "animated AVIF": (lambda: film("AVIF"), "animated"),
    "GIF": (lambda: saved("GIF"), "GIF"),
    "animated GIF": (lambda: film("GIF"), "GIF"),
    "two pages": (lambda: saved("TIFF", save_all=True, append_images=[image()]), "2 pages"),
    "float TIFF": (lambda: tiff(np.zeros((9, 9), np.float32)), "floating-point"),
    "half-float TIFF": (lambda: tiff(np.zeros((9, 9), np.float16)), "floating-point"),
    "signed TIFF": (lambda: tiff(np.zeros((9, 9), np.int16)), "signed"),
    "32-bit TIFF": (lambda: tiff(np.zeros((9, 9), np.uint32)), "32 bits"),
    "raw in TIFF's clothes": (raw_like_tiff, "raw file"),
    "CR2": (lambda: b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "raw file"),
    "DNG": (
        lambda: tiff(np.zeros((9, 9), np.uint8), extratags=[(50706, 1, 4, b"\1\4\0\0", True)]),
        "raw file",
    ),
    "HDR AVIF": (nclx_avif, "CICP 9/16"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60), "HEIC"),
    "Photoshop": (lambda: b"8BPS\0\1" + bytes(60), "PSD"),
    "PDF": (lambda: saved("PDF"), "PDF"),
    "JPEG 2000": (lambda: saved("JPEG2000"), "JPEG 2000"),
    "zip": (zipped, "a zip archive"),
    "gzip": (lambda: gzip.compress(bytes(99)), "a gzip archive"),
    "RAR": (lambda: b"Rar!\x1a\7\1\0" + bytes(60), "a RAR archive"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(60), "a 7z archive"),
    "icon": (lambda: saved("ICO", sizes=[(16, 16)]), "icon"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_with_a_reason_and_a_remedy(kind: str) -> None:
    make, reason = REFUSED[kind]
    data = make()
    for ask in (
        lambda: read_header(io.BytesIO(data), "the file.jpg"),
        lambda: decode(data, "the file.jpg", LIMIT),
        lambda: decode_mask(data, "the file.jpg", LIMIT),
    ):
        with pytest.raises(Unsupported) as caught:
            ask()
        assert "the file.jpg" in caught.value.message
        assert reason in caught.value.message
        assert "drop" in caught.value.advice.lower() or "save" in caught.value.advice.lower()


def test_an_archive_is_to_be_unpacked() -> None:
    with pytest.raises(Unsupported) as caught:
        read_header(io.BytesIO(zipped()), "delivery.zip")
    assert caught.value.advice == "Unpack it and drop the photos that are in it."


def test_a_film_is_not_an_image() -> None:
    with pytest.raises(NotAnImage, match="film"):
        read_header(io.BytesIO(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(60)), "a.avif")


def test_the_content_counts_and_not_the_name() -> None:
    data = saved("PNG")
    assert read_header(io.BytesIO(data), "photo.jpg").format == "png"
    assert decode(data, "photo.jpg", LIMIT).metadata.format == "png"


def test_the_primary_picture_of_a_multi_picture_jpeg_is_taken() -> None:
    first = Image.new("RGB", (30, 20), (250, 10, 10))
    stream = io.BytesIO()
    other = Image.new("RGB", (30, 20), (10, 10, 250))
    first.save(stream, "MPO", save_all=True, append_images=[other])
    data = stream.getvalue()
    assert read_header(io.BytesIO(data), "a").format == "jpeg"
    assert decode(data, "a", LIMIT).pixels[10, 10].tolist() == pytest.approx([250, 10, 10], abs=6)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_preview_page_in_a_tiff_does_not_count(depth: type, first: bool) -> None:
    full = np.arange(24 * 36 * 3).reshape(24, 36, 3).astype(depth)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        pages = [(full[::2, ::2].copy(), 1), (full, 0)]
        for pixels, kind in pages if first else pages[::-1]:
            writer.write(pixels, photometric="rgb", subfiletype=kind, metadata=None)
    header = read_header(io.BytesIO(stream.getvalue()), "a")
    assert (header.width, header.height, header.frames) == (36, 24, 1)
    np.testing.assert_array_equal(decode(stream.getvalue(), "a", LIMIT).pixels, full)


def test_a_png_that_could_be_animated_but_has_one_frame_is_a_picture() -> None:
    stream = io.BytesIO()
    image().save(stream, "PNG", save_all=True)
    assert read_header(io.BytesIO(stream.getvalue()), "a").frames == 1


def test_the_usual_endings_are_known() -> None:
    usual = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"}
    assert usual == SUFFIXES
