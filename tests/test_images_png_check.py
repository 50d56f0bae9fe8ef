"""A PNG file passes as holding certain pixels just where decoding it would give those."""

from __future__ import annotations

import contextlib
import io
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retouchd.errors import NotAnImage, Truncated
from retouchd.images import decode, holds, png, png_check, png_write
from retouchd.images.metadata import Metadata

KINDS = [(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)]


def picture(height: int, width: int, channels: int, depth: int = 8, seed: int = 0) -> Any:
    """Noise above, a slope in the middle, one colour below: all filters have their part."""
    rng, kind = np.random.default_rng(seed), np.uint8 if depth == 8 else np.uint16
    found = rng.integers(0, np.iinfo(kind).max + 1, (height, width, channels), kind)
    slope = np.arange(width)[None, :, None] * 3 + np.arange(channels)
    found[height // 3 :] = slope.astype(kind)
    found[2 * height // 3 :] = 99
    return found


def held(data: bytes, pixels: Any) -> bool | None:
    return holds(io.BytesIO(data), "p.png", pixels)


def by_opencv(pixels: Any, filters: int) -> bytes:
    bgr = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_FILTER, filters])[1].tobytes()


def rebuilt(rows: bytes, width: int, height: int) -> bytes:
    """An RGB file of filtered rows."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, png.RGB, 0, 0, 0))
    chunks = (("IHDR", head), ("IDAT", zlib.compress(rows)), ("IEND", b""))
    return png.MAGIC + b"".join(png.chunk_bytes(*chunk) for chunk in chunks)


@pytest.mark.parametrize(("channels", "depth"), KINDS)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_what_was_written_is_held(channels, depth, height, width, seed) -> None:
    pixels = picture(height, width, channels, depth, seed)
    assert held(png_write.write(pixels, Metadata("png")), pixels) is True


@pytest.mark.parametrize(("channels", "depth"), KINDS)
@given(st.data())
def test_one_sample_that_differs_by_the_least_is_found(channels, depth, data) -> None:
    pixels = picture(12, 17, channels, depth)
    written = png_write.write(pixels, Metadata("png"))
    place = tuple(data.draw(st.integers(0, side - 1)) for side in pixels.shape)
    pixels[place] ^= data.draw(st.sampled_from([1 << bit for bit in range(depth)]))
    assert held(written, pixels) is False


@pytest.mark.parametrize("filters", [8, 16, 32, 64], ids=["none", "left", "up", "mean"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_another_program_filtered_is_understood(filters: int, channels: int) -> None:
    pixels = picture(40, 31, channels)
    data = by_opencv(pixels, filters)

    assert held(data, pixels) is True

    pixels[20, 11] ^= 128
    assert held(data, pixels) is False


@given(st.integers(0, 4 * 3 * 5), st.integers(0, 3), st.integers(0, 255))
def test_it_agrees_with_the_decoder_on_any_filtered_bytes(seed: int, kind: int, byte: int) -> None:
    """Also on those that no encoder would write."""
    rows = np.random.default_rng(seed).integers(0, 256, (4, 1 + 15), np.uint8)
    rows[:, 0] = kind
    rows[3, 15] = byte
    data = rebuilt(rows.tobytes(), 5, 4)
    decoded = decode(data, "p.png", 100).pixels

    assert held(data, decoded) is True

    decoded[3, 4, 2] ^= 1
    assert held(data, decoded) is False


@pytest.mark.parametrize("size", [1, 300, 1000])
def test_groups_of_rows_meet(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_check, "_GROUP", size)
    monkeypatch.setattr(png_check.png, "_BLOCK", 7)
    pixels = picture(40, 31, 3)
    data = png_write.write(pixels, Metadata("png"))

    assert held(data, pixels) is True
    for row in range(40):
        other = pixels.copy()
        other[row, 30, 2] ^= 1
        assert held(data, other) is False


def test_depth_kind_and_size_have_to_be_the_same() -> None:
    pixels = picture(20, 20, 4)
    data = png_write.write(pixels, Metadata("png"))
    others = (pixels[..., :3], pixels.astype(np.uint16), pixels[:, :19], pixels[:19])
    assert [held(data, np.ascontiguousarray(other)) for other in others] == [False] * 4


def test_too_few_rows_and_too_many_are_no_picture() -> None:
    pixels = picture(8, 5, 3)
    rows = np.concatenate([np.zeros((8, 1), np.uint8), pixels.reshape(8, -1)], axis=1).tobytes()
    assert held(rebuilt(rows, 5, 8), pixels) is True
    assert held(rebuilt(rows[:-16], 5, 8), pixels) is False
    assert held(rebuilt(rows[:-1], 5, 8), pixels) is False
    assert held(rebuilt(rows + rows[:16], 5, 8), pixels) is False
    assert held(rebuilt(rows + bytes(1 << 22), 5, 8), pixels) is False


def test_every_byte_of_the_file_that_counts_is_checked() -> None:
    """Whichever is damaged: chunks' sums and zlib's, and what zlib can't read."""
    pixels = picture(9, 7, 3)
    data = png_write.write(pixels, Metadata("png", dpi=(300, 300)))
    end = len(data) - 4  # IEND's own sum is no part of what decoders ask for
    for place in range(8, end):
        wrong = bytearray(data)
        wrong[place] ^= 4
        with contextlib.suppress(NotAnImage, Truncated):
            assert held(bytes(wrong), pixels) is not True, place


def test_a_stream_that_is_cut_off_or_goes_on_is_damage() -> None:
    pixels = picture(9, 7, 3)
    data = png_write.write(pixels, Metadata("png"))
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    stream = data[at + 4 : at + 4 + length]
    for wrong, error in ((stream[:-5], Truncated), (stream + b"more", NotAnImage)):
        whole = data[: at - 4] + png.chunk_bytes("IDAT", wrong) + png.chunk_bytes("IEND", b"")
        with pytest.raises(error):
            held(whole, pixels)


def test_of_kinds_that_we_never_write_it_says_nothing() -> None:
    pixels = picture(16, 16, 3)
    image = Image.fromarray(pixels)
    turned = image.getexif()
    turned[274] = 6
    for options in ({"transparency": (1, 2, 3)}, {"exif": turned.tobytes()}):
        stream = io.BytesIO()
        image.save(stream, "PNG", **options)
        assert held(stream.getvalue(), pixels) is None
    assert held(by_opencv(pixels, cv2.IMWRITE_PNG_FILTER_PAETH), pixels) is None
