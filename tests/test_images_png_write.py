"""PNG files of our own making hold exactly the pixels, for every reader."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retouchd.images import png_write
from retouchd.images.metadata import Metadata

KINDS = [(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)]


def noise(height: int, width: int, channels: int, depth: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = np.uint8 if depth == 8 else np.uint16
    return rng.integers(0, np.iinfo(kind).max + 1, (height, width, channels), kind)


def smooth(height: int, width: int, channels: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (c + 1) + y * (3 - c)) // 4 for c in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


def seen_by_opencv(data: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found.ndim == 2:
        return found[..., None]
    return cv2.cvtColor(found, {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[found.shape[2]])


def check(pixels: np.ndarray) -> None:
    data = png_write.write(pixels, Metadata("png"))
    found = seen_by_opencv(data)
    if pixels.shape[2] == 2:
        # OpenCV has no gray with alpha: it gives RGBA.
        found = found[..., [0, 3]]
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize(("channels", "depth"), KINDS)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_any_pixels_come_back(
    channels: int, depth: int, height: int, width: int, seed: int
) -> None:
    check(noise(height, width, channels, depth, seed))


@pytest.mark.parametrize(("channels", "depth"), KINDS)
def test_groups_of_rows_meet_without_a_seam(
    channels: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters look at the row above, also across the groups that are worked on one by one."""
    monkeypatch.setattr(png_write, "_GROUP", 300)
    monkeypatch.setattr(png_write, "_CHUNK", 1000)
    check(noise(40, 31, channels, depth))
    check(smooth(40, 31, channels))


def test_every_filter_is_taken_where_it_is_best() -> None:
    rows = np.arange(200, dtype=np.uint8)
    across = np.repeat(rows[None, :] * 7, 60, axis=0)
    down = np.repeat(rows[:, None] * 7, 60, axis=1)
    for pixels, best in ((across, 2), (down, 1)):
        filtered = png_write._filtered(np.ascontiguousarray(pixels[..., None]), 1, 50)
        assert filtered[0, 0] == best


def test_pillow_reads_it_with_its_checksums() -> None:
    pixels = smooth(90, 120, 3)
    with Image.open(io.BytesIO(png_write.write(pixels, Metadata("png")))) as image:
        image.verify()
    with Image.open(io.BytesIO(png_write.write(pixels, Metadata("png")))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_photo_is_hardly_larger_than_with_all_filters_tried() -> None:
    """OpenCV at level 4 tries them all for each row; it takes more than twice the time."""
    rng = np.random.default_rng(5)
    soft = cv2.resize(rng.integers(0, 256, (20, 30, 3), np.uint8), (900, 600), interpolation=2)
    photo = np.clip(soft + rng.normal(0, 3, soft.shape), 0, 255).astype(np.uint8)
    tried = cv2.imencode(".png", photo, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1]
    assert len(png_write.write(photo, Metadata("png"))) < 1.1 * len(tried)
