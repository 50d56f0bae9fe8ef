"""A thumbnail has the colours of what is seen in the picture, and no others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd import thumbnail as module
from retouchd.thumbnail import thumbnail


def _disc(height: int, width: int, dtype: type[np.unsignedinteger] = np.uint8) -> np.ndarray:
    """A red disc with a soft edge; beneath what is transparent lies green."""
    top = np.iinfo(dtype).max
    alpha = np.zeros((height, width), np.float32)
    cv2.circle(alpha, (width // 2, height // 2), min(height, width) // 3, 1.0, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 3)
    pixels = np.zeros((height, width, 4), np.float32)
    pixels[..., 0] = alpha > 0
    pixels[..., 1] = alpha == 0
    pixels[..., 3] = alpha
    return (pixels * top + 0.5).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hidden_colours_do_not_bleed_into_the_edge(dtype) -> None:
    found = thumbnail(_disc(501, 733, dtype), 96)

    assert (found.shape, found.dtype) == ((66, 96, 4), np.uint8)
    seen = found[..., 3] > 8
    assert found[seen][:, 0].min() >= 254
    assert found[seen][:, 1].max() <= 1
    assert found[33, 48].tolist() == [255, 0, 0, 255]
    assert found[0, 0, 3] == 0


def test_grey_with_alpha_becomes_rgb_with_alpha() -> None:
    pixels = np.full((400, 300, 2), (90, 255), np.uint8)
    pixels[:, :150] = (255, 0)

    found = thumbnail(pixels, 100)

    assert found.shape == (100, 75, 4)
    assert found[50, 60].tolist() == [90, 90, 90, 255]
    assert found[50, 10, 3] == 0
    edge = found[50, 37]
    assert edge[0] == 90
    assert 0 < edge[3] < 255


@pytest.mark.parametrize("channels", [1, 3])
def test_what_has_no_alpha_gets_none(channels) -> None:
    pixels = np.full((50, 200, channels), 70, np.uint16) * 257

    found = thumbnail(pixels, 64)

    np.testing.assert_array_equal(found, np.full((16, 64, 3), 70, np.uint8))


def test_what_is_small_enough_keeps_its_size_and_what_is_seen_of_it() -> None:
    pixels = _disc(60, 80)

    found = thumbnail(pixels, 192)

    np.testing.assert_array_equal(found[..., 3], pixels[..., 3])
    solid = pixels[..., 3] == 255
    np.testing.assert_array_equal(found[solid], pixels[solid])


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    side=st.integers(1, 64),
    channels=st.integers(1, 4),
)
def test_any_shape_fits_and_keeps_its_mean(height, width, side, channels) -> None:
    """Each small pixel is the mean of the same area, so all of them have the picture's mean."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)

    found = thumbnail(noise, side)

    assert max(found.shape[:2]) == min(side, max(height, width))
    assert found.shape[2] == (4 if channels in (2, 4) else 3)
    assert abs(float(found[..., -1].mean()) - float(noise[..., -1].mean())) < 1


def test_strips_leave_no_seam(monkeypatch) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (517, 389, 4), np.uint8)
    whole = thumbnail(noise, 61)

    monkeypatch.setattr(module, "_STRIP", 389 * 7)
    in_strips = thumbnail(noise, 61)

    assert np.abs(whole.astype(int) - in_strips).max() <= 1
