"""Scaling keeps every picture in its place, whole and window by window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.scaling import (
    averaged,
    colours,
    evened,
    resized,
    sampled,
    shrinking,
    unit,
    unit_colours,
)


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


@pytest.mark.parametrize("size", [(512, 400), (300, 231), (100, 120), (37, 200), (601, 401)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_sampled_lies_where_the_mean_does(size, dtype) -> None:
    """Also with odd sides: a slope would show a shift of a tenth of a pixel."""
    down, across = (np.linspace(0, 200, side) for side in (601, 801))
    slope = np.dstack([np.add.outer(down, 0 * across), np.add.outer(0 * down, across)])

    found, mean = (way(slope.astype(dtype), size).astype(float) for way in (sampled, resized))

    assert found.shape == (*size, 2)
    inner = np.abs(found - mean)[2:-2, 2:-2].max()
    assert inner < 0.1 * 200 / min(size) + (dtype != np.float32) * 2


def test_what_is_sampled_has_no_more_noise_than_half_again() -> None:
    noise = np.random.default_rng(0).random((1200, 900)).astype(np.float32)

    assert sampled(noise, (170, 128)).std() < 1.5 * resized(noise, (170, 128)).std() < 0.1


@given(st.integers(1, 90), st.integers(1, 90), st.floats(1, 60), st.integers(1, 4))
def test_whatever_is_sampled_has_the_size_that_was_asked_for(height, width, times, channels):
    size = max(1, int(height / times)), max(1, int(width / times))
    plain = np.full((height, width, channels), 77, np.uint8)

    found = sampled(plain, size)

    assert found.shape == (*size, channels)
    assert (found == 77).all()


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


@pytest.mark.parametrize("size", [(512, 400), (300, 231), (120, 150), (100, 120), (37, 50)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_averaged_after_halving_is_nearly_the_mean(size, dtype) -> None:
    """Of noise, which hides nothing; and the mean itself where it shrinks little."""
    noise = np.random.default_rng(0).integers(0, 200, (601, 801, 3)).astype(dtype)

    found, mean = (way(noise, size).astype(float) for way in (averaged, resized))

    assert found.shape == (*size, 3)
    assert np.corrcoef(found.ravel(), mean.ravel())[0, 1] > 0.85
    assert abs(found.mean() - mean.mean()) < 1
    if min(601 / size[0], 801 / size[1]) < 4:
        np.testing.assert_array_equal(found, mean)


@pytest.mark.parametrize("size", [(100, 120), (37, 50)])
def test_what_is_averaged_lies_where_the_mean_does(size) -> None:
    down, across = np.linspace(0, 200, 601), np.linspace(0, 200, 801)
    slope = np.dstack([np.add.outer(down, 0 * across), np.add.outer(0 * down, across)])

    found, mean = (way(slope.astype(np.float32), size) for way in (averaged, resized))

    assert np.abs(found - mean)[2:-2, 2:-2].max() < 0.1 * 200 / min(size)


@given(st.integers(1, 90), st.integers(1, 90), st.floats(1, 60), st.integers(1, 4))
def test_whatever_is_averaged_has_the_size_that_was_asked_for(height, width, times, channels):
    size = max(1, int(height / times)), max(1, int(width / times))
    plain = np.full((height, width, channels), 77, np.uint8)

    found = averaged(plain, size)

    assert found.shape == (*size, channels)
    assert (found == 77).all()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))
def test_sides_are_made_even_by_repeating_the_last(height, width, channels) -> None:
    array = np.random.default_rng(0).random((height, width, channels))

    found = evened(array)

    assert found.shape == (height + height % 2, width + width % 2, channels)
    np.testing.assert_array_equal(found[:height, :width], array)
    np.testing.assert_array_equal(found[-1, :width], array[-1])


def test_units_are_shares_of_the_full_range() -> None:
    for dtype in (np.uint8, np.uint16):
        np.testing.assert_array_equal(unit(np.array([0, np.iinfo(dtype).max], dtype)), [0, 1])
    floats = np.array([0.5], np.float32)
    assert unit(floats) is floats
