"""What is laid behind a cut-out looks the same on photos of every colour profile."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.profiles import SRGB, swapped
from retouchd.profiles import colour_in, picture_in

ORANGE = (230 / 255, 120 / 255, 20 / 255)


def of_space(space: bytes) -> bytes:
    return SRGB[:16] + space + SRGB[20:]


def picture(channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.integers(0, np.iinfo(dtype).max, (9, 7, channels), dtype, endpoint=True)


def test_a_colour_gets_the_numbers_that_look_like_it() -> None:
    red, green, blue = colour_in(ORANGE, swapped())
    assert (red, green, blue) == pytest.approx((ORANGE[1], ORANGE[0], ORANGE[2]), abs=1.5 / 255)


@pytest.mark.parametrize("target", [None, SRGB, of_space(b"GRAY"), b"", b"no profile" * 20])
def test_where_there_is_nothing_to_convert_a_colour_stays(target: bytes | None) -> None:
    assert colour_in(ORANGE, target) == pytest.approx(ORANGE, abs=0.5 / 255)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_are_themselves(level: float) -> None:
    assert colour_in((level,) * 3, swapped()) == (level,) * 3


def test_a_picture_goes_from_its_own_profile_to_the_photos() -> None:
    shown = picture()
    there = picture_in(shown, None, swapped())
    np.testing.assert_allclose(there.astype(int), shown[..., [1, 0, 2]], atol=1)
    np.testing.assert_allclose(picture_in(there, swapped(), None).astype(int), shown, atol=2)


@pytest.mark.parametrize("icc", [None, SRGB, swapped()])
def test_a_picture_of_the_same_profile_is_left_as_it_is(icc: bytes | None) -> None:
    shown = picture(4, np.uint16)
    assert picture_in(shown, icc, icc) is shown


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_picture_can_be_converted(channels: int, dtype: type) -> None:
    shown = picture(channels, dtype)
    rgb = shown[..., :1].repeat(3, axis=2) if channels < 3 else shown[..., :3]
    expected = np.round(rgb / np.iinfo(dtype).max * 255)[..., [1, 0, 2]]
    found = picture_in(shown, None, swapped())
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(int), expected, atol=2)


@pytest.mark.parametrize("icc", [SRGB[:200], of_space(b"RGB ")[:128] + b"\xff" * 300])
def test_a_damaged_profile_changes_nothing(icc: bytes) -> None:
    shown = picture()
    assert picture_in(shown, None, icc) is shown
