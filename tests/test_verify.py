"""The last look at an output catches what must never be published."""

from __future__ import annotations

import errno
import io
from dataclasses import replace

import numpy as np
import pytest

from retouchd.errors import IoTrouble, OutputWrong
from retouchd.images import Photo, decode, encode
from retouchd.images.metadata import Metadata
from retouchd.verify import check_output, check_written, mean_difference


def photo(seed: int = 0, channels: int = 3) -> np.ndarray:
    steps = np.random.default_rng(seed).integers(0, 256, (6, 8, channels), np.uint8)
    return np.repeat(np.repeat(steps, 8, axis=0), 8, axis=1)


HOLE = np.zeros((48, 64), np.uint8)
HOLE[10:20, 10:20] = 255


def repaired(original: np.ndarray) -> np.ndarray:
    out = original.copy()
    out[HOLE > 0] = 99
    return out


def look(encoded, composed, original, *, lossless):
    check_output(
        encoded.data,
        composed=composed,
        original=original,
        hole=HOLE,
        lossless=lossless,
        name="p.png",
    )


def encoded_as(pixels: np.ndarray, kind: str):
    return encode(Photo(pixels, Metadata(format=kind)))


def test_a_right_output_passes():
    original = photo()
    for kind, lossless in (("png", True), ("tiff", True), ("jpeg", False), ("webp", False)):
        composed = repaired(original)
        look(encoded_as(composed, kind), composed, original, lossless=lossless)


class Flaky(io.BytesIO):
    """A file on a disk that errs at some readings."""

    def __init__(self, data: bytes, error: OSError | None, *failing: int) -> None:
        super().__init__(data)
        self._error, self._failing, self._readings = error, failing, 0

    def read(self, count: int | None = -1, /) -> bytes:
        self._readings += 1
        if self._readings not in self._failing:
            return super().read(count)
        if self._error:
            raise self._error
        return b""


def test_a_disk_that_errs_while_an_output_is_read_back_says_nothing_against_the_output():
    """It is tried again, and no photo is set aside for it."""
    pixels = photo()
    for kind, lossless in (("png", True), ("jpeg", False), ("webp", True)):
        data = encoded_as(pixels, kind).data
        error = OSError(errno.EIO, "Input/output error")
        with pytest.raises(IoTrouble):
            check_written(Flaky(data, error, 2), pixels, lossless=lossless, name="p.png")


def test_an_output_that_a_codec_could_not_read_is_judged_again_from_memory():
    """Codecs that read by themselves take an error for damage."""
    pixels = photo()
    data = encoded_as(pixels, "png").data
    check_written(Flaky(data, None, 2), pixels, lossless=True, name="p.png")
    with pytest.raises(OutputWrong):
        check_written(Flaky(data[:-200], None), pixels, lossless=True, name="p.png")


def test_a_pixel_that_changed_outside_the_hole_is_caught():
    original = photo()
    composed = repaired(original)
    composed[0, 0] ^= 1
    with pytest.raises(OutputWrong, match="outside the mask"):
        look(encoded_as(composed, "png"), composed, original, lossless=True)


def test_a_lossless_output_that_decodes_to_other_pixels_is_caught():
    original = photo()
    composed = repaired(original)
    other = composed.copy()
    other[15, 15] = 0
    with pytest.raises(OutputWrong, match="other pixels"):
        look(encoded_as(other, "png"), composed, original, lossless=True)


def test_a_lossy_output_of_another_picture_is_caught():
    original = photo()
    with pytest.raises(OutputWrong, match="very different"):
        look(encoded_as(photo(1), "jpeg"), repaired(original), original, lossless=False)


def test_an_output_that_cannot_be_decoded_is_caught():
    original = photo()
    composed = repaired(original)
    whole = encoded_as(composed, "jpeg")
    with pytest.raises(OutputWrong, match="can't be decoded"):
        look(replace(whole, data=whole.data[:200]), composed, original, lossless=False)


def test_an_output_of_another_size_is_caught():
    original = photo()
    narrow = encoded_as(repaired(original)[:, :-8], "png")
    with pytest.raises(OutputWrong, match="size"):
        look(narrow, repaired(original), original, lossless=True)


def test_gray_that_a_format_made_rgb_is_compared_by_its_values():
    gray = photo(channels=1)
    assert mean_difference(gray, np.repeat(gray, 3, axis=2)) == 0
    assert mean_difference(gray, np.repeat(255 - gray, 3, axis=2)) > 0.2


def test_the_decoder_of_the_check_is_the_one_of_the_work():
    original = photo()
    assert np.array_equal(decode(encoded_as(original, "png").data, "p", 10_000).pixels, original)


def test_an_output_is_checked_as_it_lies_on_the_disk(tmp_path):
    original = photo()
    composed = repaired(original)
    path = tmp_path / "out"
    path.write_bytes(encoded_as(composed, "png").data)
    with open(path, "rb") as file:
        check_output(
            file, composed=composed, original=original, hole=HOLE, lossless=True, name="p.png"
        )


def test_a_jpeg_is_judged_by_the_means_of_its_blocks():
    """Block by block, so that a picture that is turned, shifted or cut short can't pass."""
    original = photo(3)
    composed = repaired(original)
    for wrong in (composed[::-1], np.roll(composed, 24, axis=1), np.full_like(composed, 127)):
        encoded = encoded_as(np.ascontiguousarray(wrong), "jpeg")
        with pytest.raises(OutputWrong, match="very different"):
            look(encoded, composed, original, lossless=False)


def test_jpegs_of_any_size_can_be_judged():
    for height, width in ((1, 1), (7, 30), (8, 8), (9, 17), (600, 21)):
        for channels in (1, 3):
            pixels = np.full((height, width, channels), 90, np.uint8)
            hole = np.zeros((height, width), np.uint8)
            check_output(
                encoded_as(pixels, "jpeg").data,
                composed=pixels,
                original=pixels,
                hole=hole,
                lossless=False,
                name="p.jpg",
            )


def test_a_tiff_is_compared_to_its_last_row():
    original = np.repeat(photo().astype(np.uint16) * 257, 200, axis=0)
    hole = np.zeros(original.shape[:2], np.uint8)
    encoded = encode(Photo(original, Metadata(format="tiff", tiff_compression=8)))
    for row in (0, len(original) // 2, len(original) - 1):
        other = original.copy()
        other[row, -1, -1] ^= 1
        with pytest.raises(OutputWrong, match="other pixels"):
            check_output(
                encoded.data, composed=other, original=other, hole=hole, lossless=True, name="p"
            )
    check_output(
        encoded.data, composed=original, original=original, hole=hole, lossless=True, name="p"
    )
