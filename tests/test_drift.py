"""A model's drift of colour is taken out of its fill, and nothing else is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd import classical
from retouchd.drift import match_colour
from retouchd.samples import photo_like, to_unit

LEVEL = 1 / 255


def photo(side=192, dtype=np.uint8):
    """A photo-like picture and its hole, in the middle."""
    image, mask = photo_like(side)
    return (image.astype(dtype) * 257 if dtype == np.uint16 else image), mask


def calm(height=192, width=192):
    """A picture without texture: (image, what a perfect model would answer)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    image = (np.dstack([0.3 + 0.3 * y, 0.6 - 0.2 * x, 0.4 + 0.1 * (x + y)]) * 255).astype(np.uint8)
    return image, to_unit(image)


def hole_at(shape, *boxes):
    mask = np.zeros(shape, np.uint8)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = 255
    return mask


def off(matched, wanted, mask):
    """The largest mistake inside the hole, in levels of 255."""
    return np.abs(matched - wanted)[mask > 0].max() / LEVEL


def casts(side):
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return {
        "a tint": np.full((side, side, 3), (6, -4, 9)) * LEVEL,
        "a slope": (9 * x + 4 * y)[..., None] * np.array([1, 0.5, -1]) * LEVEL,
        "a bow": (8 * np.cos(1.5 * x) * np.cos(1.5 * y))[..., None] * np.ones(3) * LEVEL,
    }


@pytest.mark.parametrize("side", [96, 192, 512])
@pytest.mark.parametrize(("cast", "most"), [("a tint", 0.01), ("a slope", 0.1), ("a bow", 3)])
def test_a_cast_of_low_frequency_is_taken_out(side, cast, most):
    """What a bow does in the middle of the hole can only be guessed from the ring."""
    image, mask = photo(side)
    fill = classical.fill(image, mask)
    drifted = (fill + casts(side)[cast]).astype(np.float32)
    assert off(drifted, fill, mask) > 5
    assert off(match_colour(image, mask, drifted), fill, mask) < most


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("level", [-20, -3, 1, 12, 25])
def test_a_constant_cast_is_gone_to_less_than_half_a_level(dtype, level):
    image, mask = photo(dtype=dtype)
    fill = classical.fill(image, mask) * np.float32(0.8) + np.float32(0.1)
    painted = np.where(mask[..., None] > 0, fill, to_unit(image)) + np.float32(level * LEVEL)
    assert off(match_colour(image, mask, painted), fill, mask) < 0.5


def test_texture_that_the_model_repaints_badly_is_no_drift():
    """The network softens and moves everything that it saw; only its cast is taken out."""
    image, mask = photo(256)
    fill = classical.fill(image, mask)
    soft = np.roll(cv2.GaussianBlur(fill, (0, 0), 2), 2, axis=1)
    painted = np.where(mask[..., None] > 0, fill, soft) + np.float32(8 * LEVEL)
    assert off(match_colour(image, mask, painted), fill, mask) < 1.5


def test_a_strong_edge_that_crosses_the_ring_and_comes_out_elsewhere_is_no_drift():
    plain, wanted = calm()
    image, elsewhere = plain.copy(), wanted.copy()
    image[90:100] = 230
    elsewhere[95:105] = 230 * LEVEL
    mask = hole_at((192, 192), (60, 60, 70, 70))
    painted = np.where(mask[..., None] > 0, wanted, elsewhere) + np.float32(6 * LEVEL)
    assert off(match_colour(image, mask, painted), wanted, mask) < 1


def test_a_thing_beside_the_hole_that_the_model_paints_away_is_no_drift():
    image, wanted = calm()
    mask = hole_at((192, 192), (60, 60, 70, 70))
    painted = (wanted + 5 * LEVEL).astype(np.float32)
    painted[60:90, 132:160] -= np.float32(60 * LEVEL)
    assert off(match_colour(image, mask, painted), wanted, mask) < 0.5


def test_noise_of_the_photo_stays_out_of_the_fill():
    image, wanted = calm()
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    noisy = np.clip(image + noise, 0, 255).round().astype(np.uint8)
    mask = hole_at((192, 192), (60, 60, 70, 70))
    assert off(match_colour(noisy, mask, wanted), wanted, mask) < 1


def test_other_holes_of_the_crop_do_not_count_as_known():
    image, wanted = calm()
    mask = hole_at((192, 192), (60, 60, 70, 70), (60, 132, 70, 20))
    damaged = image.copy()
    damaged[mask > 0] = 255
    painted = (wanted + 5 * LEVEL).astype(np.float32)
    assert off(match_colour(damaged, mask, painted), wanted, mask) < 0.1
    assert np.array_equal(match_colour(damaged, mask, painted), match_colour(image, mask, painted))


def test_a_model_that_keeps_what_it_knows_keeps_every_bit_of_its_answer():
    for dtype in (np.uint8, np.uint16):
        image, mask = photo(dtype=dtype)
        fill = classical.fill(image, mask)
        assert match_colour(image, mask, fill) is fill


@pytest.mark.parametrize("boxes", [[], [(0, 0, 50, 70)]])
def test_without_a_known_pixel_beside_a_hole_nothing_changes(boxes):
    image = np.full((50, 70, 3), 90, np.uint8)
    painted = np.full((50, 70, 3), 0.5, np.float32)
    assert match_colour(image, hole_at((50, 70), *boxes), painted) is painted


@pytest.mark.parametrize(
    "box", [(0, 60, 70, 70), (122, 60, 70, 70), (60, 0, 70, 70), (0, 0, 70, 70), (0, 0, 192, 60)]
)
def test_a_hole_at_the_photos_border_is_matched_by_the_sides_that_are_known(box):
    image, wanted = calm()
    mask = hole_at((192, 192), box)
    cast = casts(192)["a slope"]
    painted = (wanted + cast).astype(np.float32)
    matched = match_colour(image, mask, painted)
    assert off(matched, wanted, mask) < off(painted, wanted, mask)
    seen = np.abs(cast[mask == 0]).max()
    assert np.abs(matched - painted).max() <= seen + 1e-6


def test_what_is_too_far_off_to_be_drift_moves_the_fill_by_a_limited_amount():
    image, wanted = calm()
    mask = hole_at((192, 192), (60, 60, 70, 70))
    painted = np.zeros_like(wanted)
    assert np.abs(match_colour(image, mask, painted) - painted).max() <= 32 * LEVEL + 1e-6


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32), st.sampled_from(["u1", "u2"]))
def test_any_answer_of_any_size_stays_between_black_and_white(height, width, seed, dtype):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 255, (height, width, 3)).astype(dtype)
    top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
    mask = hole_at((height, width), (top, left, height // 2 + 1, width // 2 + 1))
    painted = rng.random((height, width, 3), np.float32)
    before = image.copy(), mask.copy(), painted.copy()
    matched = match_colour(image, mask, painted)
    assert matched.shape == painted.shape
    assert matched.dtype == np.float32
    assert matched.min() >= 0
    assert matched.max() <= 1
    assert all(np.array_equal(a, b) for a, b in zip(before, (image, mask, painted), strict=True))
