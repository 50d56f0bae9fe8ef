"""Filling without a network: ``classical`` and ``flat``."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd import classical, flat
from retouchd.engine import Pixels


def _ramp(height: int, width: int, kind: type = np.uint8) -> Pixels:
    rows, columns = np.mgrid[0:height, 0:width]
    top = np.iinfo(kind).max
    red = 0.2 + 0.6 * columns / width
    green = 0.3 + 0.4 * rows / height
    return np.round(np.dstack([red, green, 0 * red + 0.5]) * top).astype(kind)


def _unit(image: Pixels) -> np.ndarray:
    return image / np.float32(np.iinfo(image.dtype).max)


def _square(height: int, width: int, side: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    mask[top : top + side, left : left + side] = 255
    return mask


@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 2**32 - 1))
def test_any_hole_in_any_region_is_filled_within_the_range_of_what_is_known(
    height: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    mask = (random.random((height, width)) < random.random()).astype(np.uint8) * 255

    for fill in (classical.fill, flat.fill):
        filled = fill(image, mask)
        hole = mask > 0
        assert filled.shape == image.shape
        assert filled.dtype == np.float32
        np.testing.assert_array_equal(filled[~hole], _unit(image)[~hole])
        if hole.any() and not hole.all():
            known = filled[~hole]
            assert filled[hole].min() >= known.min() - 1e-5
            assert filled[hole].max() <= known.max() + 1e-5


@pytest.mark.parametrize("fill", [classical.fill, flat.fill])
def test_a_region_of_nothing_but_hole_becomes_grey(fill: type[classical.fill]) -> None:
    filled = fill(_ramp(5, 7), np.full((5, 7), 255, np.uint8))

    assert (filled == 0.5).all()


@pytest.mark.parametrize("side", [20, 700])
def test_what_is_under_the_mask_is_never_seen(side: int) -> None:
    image, mask = _ramp(800, 760), _square(800, 760, side)
    vandalised = np.where(mask[..., None] > 0, 255, image).astype(np.uint8)

    np.testing.assert_array_equal(classical.fill(image, mask), classical.fill(vandalised, mask))


def test_flat_fills_with_the_mean_of_the_known_pixels() -> None:
    image, mask = _ramp(20, 30), _square(20, 30, 8)

    filled = flat.fill(image, mask)

    mean = _unit(image)[mask == 0].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(filled[mask > 0], np.broadcast_to(mean, (64, 3)), atol=1e-6)


def test_a_scratch_over_a_ramp_is_repaired_to_within_a_few_grey_levels() -> None:
    image = _ramp(120, 160)
    mask = np.zeros((120, 160), np.uint8)
    mask[:, 78:82] = 255

    error = np.abs(classical.fill(image, mask) - _unit(image))

    assert error.max() < 4 / 255


def test_a_fill_of_sixteen_bits_is_finer_than_eight() -> None:
    image, mask = _ramp(120, 160, np.uint16), _square(120, 160, 24)

    filled = classical.fill(image, mask)

    levels = np.unique(np.round(filled[mask > 0] * 65535))
    steps_of_eight_bits = np.ptp(filled[mask > 0]) * 255
    assert len(levels) > 2 * steps_of_eight_bits


def test_a_large_hole_is_filled_smoothly_and_in_seconds() -> None:
    """Marching alone takes over 1 s per megapixel and channel and leaves streaks."""
    image, mask = _ramp(1700, 1800), _square(1700, 1800, 1500)

    started = time.process_time()
    filled = classical.fill(image, mask)

    assert time.process_time() - started < 5.0
    hole = mask > 0
    np.testing.assert_array_equal(filled[~hole], _unit(image)[~hole])
    # No seam: across the border of the hole the colour changes no more than a grey level or two.
    left = (1800 - 1500) // 2
    assert np.abs(filled[100:1600, left] - filled[100:1600, left - 1]).max() < 3 / 255


def test_a_large_share_of_specks_is_filled_in_seconds() -> None:
    random = np.random.default_rng(0)
    image = _ramp(1000, 1000)
    mask = (random.random((1000, 1000)) < 0.6).astype(np.uint8) * 255

    started = time.process_time()
    filled = classical.fill(image, mask)

    assert time.process_time() - started < 5.0
    assert np.abs(filled - _unit(image)).max() < 8 / 255
