"""Large pictures are decoded where they are wanted, and never silently not decoded."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from retouchd.errors import NotAnImage, RetouchdError
from retouchd.images import decode
from retouchd.images.header import Header
from retouchd.images.opencv import read
from retouchd.images.source import Source

H, W = 500, 700
LIMIT = 10**9


def picture(channels: int, depth: int = 8) -> np.ndarray:
    rng = np.random.default_rng(channels)
    small = rng.integers(0, 256, (H // 20, W // 20, channels), np.uint8)
    eight = cv2.resize(small, (W, H), interpolation=cv2.INTER_CUBIC).reshape(H, W, channels)
    return eight if depth == 8 else eight.astype(np.uint16) * 257 + 3


def saved(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    flat = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    Image.fromarray(flat).save(stream, kind, **options)
    return stream.getvalue()


def by_cv2(ending: str, pixels: np.ndarray) -> bytes:
    order = {1: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[pixels.shape[2]]
    stored = pixels if order is None else cv2.cvtColor(pixels, order)
    return bytes(cv2.imencode(ending, stored)[1].tobytes())


class Places:
    """Makes arrays and remembers them."""

    def __init__(self) -> None:
        self.made: list[np.ndarray] = []

    def __call__(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        self.made.append(np.empty(shape, dtype))
        return self.made[-1]


LARGE = {
    "jpeg": saved(picture(3), "JPEG", quality=95),
    "jpeg, progressive": saved(picture(3), "JPEG", quality=95, progressive=True),
    "jpeg, gray": saved(picture(1), "JPEG", quality=95),
    "jpeg, stored as RGB": saved(picture(3), "JPEG", quality=95, keep_rgb=True),
    "png": saved(picture(3), "PNG"),
    "png, alpha": saved(picture(4), "PNG"),
    "png, gray": saved(picture(1), "PNG"),
    "png, 16 bits": by_cv2(".png", picture(3, 16)),
    "png, 16 bits, alpha": by_cv2(".png", picture(4, 16)),
    "png, 16 bits, gray": by_cv2(".png", picture(1, 16)),
    "png, palette": saved(picture(1), "PNG", bits=8),
    "webp": saved(picture(3), "WEBP", lossless=True),
    "webp, alpha": saved(picture(4), "WEBP", lossless=True, exact=True),
    "tiff": saved(picture(3), "TIFF", compression="tiff_lzw"),
    "tiff, 16 bits": by_cv2(".tiff", picture(3, 16)),
    "bmp": saved(picture(3), "BMP"),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_large_picture_is_decoded_into_the_array_that_was_made_for_it(kind: str) -> None:
    places = Places()
    photo = decode(LARGE[kind], "p", LIMIT, places)
    assert np.may_share_memory(photo.pixels, places.made[-1])
    assert len(places.made) == 1
    plain = cv2.imdecode(np.frombuffer(LARGE[kind], np.uint8), cv2.IMREAD_UNCHANGED)
    order = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}.get(plain.shape[-1])
    wanted = plain if plain.ndim == 2 else cv2.cvtColor(plain, order)
    np.testing.assert_array_equal(photo.pixels, wanted.reshape(photo.pixels.shape))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_ends_in_the_array_that_was_made_for_it(
    kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(picture(3), kind, exif=exif, **options)
    places = Places()
    photo = decode(data, "p", LIMIT, places)
    assert np.may_share_memory(photo.pixels, places.made[-1])
    with Image.open(io.BytesIO(data)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(photo.pixels, wanted)


@pytest.mark.parametrize("kind", LARGE)
def test_a_file_is_decoded_as_its_bytes_are(kind: str, tmp_path: Any) -> None:
    path = tmp_path / "picture"
    path.write_bytes(LARGE[kind])
    with open(path, "rb") as file:
        file.read(5)
        photo = decode(file, "p", LIMIT)
    np.testing.assert_array_equal(photo.pixels, decode(LARGE[kind], "p", LIMIT).pixels)


def header(kind: str, has_alpha: bool = False) -> Header:
    return Header(kind, W, H, "rgb", 8, 1, has_alpha, 1)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_what_opencv_does_not_even_recognise_is_no_black_photo(kind: str) -> None:
    for data in (b"no picture at all" * 100, LARGE[kind][:40]):
        assert read(Source.of(data, "p"), header(kind), Places()) is None


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_a_picture_that_is_not_what_its_header_says_is_read_as_it_is(kind: str) -> None:
    for wrong in (header(kind, has_alpha=True), Header(kind, W + 8, H, "rgb", 8, 1, False, 1)):
        found = read(Source.of(LARGE[kind], "p"), wrong, Places())
        assert found is not None
        np.testing.assert_array_equal(found, picture(3))


@pytest.mark.parametrize("kind", ["png", "png, alpha", "png, 16 bits", "png, gray"])
def test_damage_in_a_large_picture_is_found(kind: str) -> None:
    data = bytearray(LARGE[kind])
    data[len(data) // 2] ^= 0x55
    with pytest.raises(NotAnImage):
        decode(bytes(data), "p", LIMIT)


@pytest.mark.parametrize("kind", LARGE)
def test_half_a_large_picture_is_refused(kind: str) -> None:
    with pytest.raises(RetouchdError):
        decode(LARGE[kind][: len(LARGE[kind]) // 2], "p", LIMIT)
