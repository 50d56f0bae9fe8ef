"""A photo goes into the square and its alpha comes back with nothing shifted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.letterbox import alpha_in, alpha_out, letterbox, photo_in

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(8, 96))
def test_a_photo_lies_whole_and_centred_in_the_square(height: int, width: int, side: int) -> None:
    place = letterbox((height, width), side)

    assert max(place.height, place.width) == side
    assert abs(side - place.height - 2 * place.top) <= 1
    assert abs(side - place.width - 2 * place.left) <= 1
    # No side is off by more than the half pixel that whole pixels cost.
    scale = side / max(height, width)
    assert abs(place.height - height * scale) <= 0.5 or place.height == 1
    assert abs(place.width - width * scale) <= 0.5 or place.width == 1


@given(SIDES, SIDES, st.integers(8, 96), st.sampled_from([0, 1]))
def test_a_ramp_comes_back_where_it_was(height: int, width: int, side: int, axis: int) -> None:
    """Half a pixel of shift would move a ramp by half its step, everywhere."""
    place = letterbox((height, width), side)
    lines = (np.arange((height, width)[axis]) + 0.5) / (height, width)[axis]
    ramp = np.broadcast_to(lines[:, None] if axis == 0 else lines, (height, width))

    back = alpha_out(alpha_in(ramp.astype(np.float32), place), place)

    assert back.shape == (height, width)
    assert back.dtype == np.float32
    inner = slice(None) if min(place.height, place.width) < 4 else np.abs(ramp - 0.5) < 0.3
    coarse = max(1, (height, width)[axis], (place.height, place.width)[axis])
    np.testing.assert_allclose(back[inner].mean(), ramp[inner].mean(), atol=0.25 / coarse + 1e-4)
    if min(place.height, place.width) >= 4:
        step = 1 / min((height, width)[axis], (place.height, place.width)[axis])
        assert np.abs(back - ramp)[inner].max(initial=0) <= 0.25 * step


@given(SIDES, SIDES, st.floats(0, 1, width=32))
def test_a_plain_alpha_stays_as_it_is(height: int, width: int, value: float) -> None:
    place = letterbox((height, width), 64)
    alpha = np.full((height, width), value, np.float32)

    back = alpha_out(alpha_in(alpha, place), place)

    np.testing.assert_allclose(back, alpha, atol=1e-5)


@given(SIDES, SIDES)
def test_what_lies_beside_the_photo_does_not_leak_into_the_alpha(height: int, width: int) -> None:
    place = letterbox((height, width), 64)
    square = np.zeros((64, 64), np.float32)
    square[place.slices] = 1

    assert alpha_out(square, place).min() >= 1 - 1e-6


def test_alpha_never_leaves_its_range_at_hard_edges() -> None:
    place = letterbox((301, 200), 64)
    alpha = (np.indices((301, 200)).sum(0) // 20 % 2).astype(np.float32)

    back = alpha_out(alpha_in(alpha, place), place)

    assert back.min() >= 0
    assert back.max() <= 1
    assert 0.4 < back.mean() < 0.6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_kind_of_photo_becomes_rgb_between_minus_one_and_one(dtype, channels) -> None:
    pixels = np.zeros((40, 80, channels), dtype)
    pixels[:, :, 0] = np.iinfo(dtype).max
    place = letterbox((40, 80), 32)

    planes = photo_in(pixels, place)

    assert planes.shape == (3, 32, 32)
    assert planes.dtype == np.float32
    inside = planes[:, 8:24]
    green = 1 if channels < 3 else -1
    np.testing.assert_array_equal(inside[0], 1)
    np.testing.assert_array_equal(inside[1:], green)
    assert not planes[:, :8].any()
    assert not planes[:, 24:].any()
