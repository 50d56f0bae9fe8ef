"""Scaling keeps every picture in its place, whole and window by window."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.scaling import colours, enlarging, resized, shrinking, unit_colours


def test_shrinking_means_what_is_under_a_pixel() -> None:
    stripes = np.tile(np.array([0, 200], np.uint8), (8, 32))

    assert (resized(stripes, (4, 32)) == 100).all()
    assert resized(stripes[..., None], (4, 32)).shape == (4, 32, 1)
    assert resized(stripes, (8, 64)) is stripes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_colours_are_rgb_without_alpha_over_the_full_range(dtype, channels) -> None:
    pixels = np.zeros((6, 4, channels), dtype)
    pixels[:, :, 0] = np.iinfo(dtype).max

    unit = unit_colours(pixels)

    assert unit.dtype == np.float32
    assert (unit == ([1, 1, 1] if channels < 3 else [1, 0, 0])).all()
    assert unit_colours(pixels, (3, 2)).shape == (3, 2, 3)
    assert colours(pixels).shape == (6, 4, 1 if channels < 3 else 3)


@given(st.integers(2, 40), st.integers(1, 9), st.floats(0, 0.99), st.booleans())
def test_a_window_is_enlarged_as_the_whole_is(small, times, more, cubic) -> None:
    large = int(small * (times + more)) + 1
    values = np.random.default_rng(small).random((small, 1)).astype(np.float32)
    method = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    whole = cv2.resize(values, (1, large), interpolation=method)[:, 0]
    part, cells = (large // 3, large // 2 + 1), (max(0, small // 3 - 3), min(small, small // 2 + 4))

    window = enlarging(large, small, part, cells, cubic=cubic) @ values[slice(*cells), 0]

    np.testing.assert_allclose(window, whole[slice(*part)], atol=2e-5)


@given(st.integers(1, 40), st.floats(1, 9))
def test_a_window_is_shrunk_as_the_whole_is(small, times) -> None:
    large = int(small * times) + 1
    values = np.random.default_rng(small).random(large)
    whole = shrinking(large, small, (0, large), (0, small)) @ values
    cells = (small // 3, small // 2 + 1)
    part = (int(cells[0] * large / small), min(large, -int(-cells[1] * large // small)))

    window = shrinking(large, small, part, cells) @ values[slice(*part)]

    np.testing.assert_allclose(window, whole[slice(*cells)], atol=1e-5)
    assert abs(whole.mean() - values.mean()) < 1e-5
    if large % small == 0:
        np.testing.assert_allclose(whole, values.reshape(small, -1).mean(1), atol=1e-5)
