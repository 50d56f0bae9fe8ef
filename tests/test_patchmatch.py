"""The model ``patchmatch``: what it paints, and what it leaves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd import classical, patchmatch


def square(side, top, left, size):
    mask = np.zeros((side, side), np.uint8)
    mask[top : top + size, left : left + size] = 255
    return mask


def checkers(side=128, cell=8):
    """A board whose cells differ a little in colour, as painted ones do."""
    y, x = np.mgrid[0:side, 0:side] // cell
    grain = np.random.default_rng(3).normal(0, 4, (side, side, 3))
    board = np.where(((y + x) % 2)[..., None] == 1, (200, 180, 150), (60, 50, 70))
    return (board + grain).clip(0, 255).astype(np.uint8)


def error(filled, photo, mask):
    """Mean absolute error in the hole, in levels of 8 bits."""
    return float(np.abs(filled * 255 - photo)[mask > 0].mean())


def test_a_pattern_goes_on_in_the_hole():
    photo, mask = checkers(), square(128, 40, 44, 40)
    painted = error(patchmatch.fill(photo, mask), photo, mask)
    assert painted < 12  # of grain, and of which cell is which, nothing but the grain is left
    assert painted < error(classical.fill(photo, mask), photo, mask) / 4


def test_a_line_is_carried_through():
    rng = np.random.default_rng(1)
    photo = np.full((128, 128, 3), 200, np.uint8) + rng.integers(-6, 7, (128, 128, 3), np.int8)
    photo = photo.astype(np.uint8)
    cv2.line(photo, (0, 20), (127, 110), (30, 30, 30), 5)
    mask = square(128, 44, 44, 40)
    filled = patchmatch.fill(photo, mask)
    dark = photo[..., 0] < 100
    assert (filled[..., 0] * 255 < 100)[dark & (mask > 0)].mean() > 0.85


def test_grain_is_as_strong_in_the_hole_as_around_it():
    rng = np.random.default_rng(5)
    photo = rng.normal(128, 12, (96, 96, 3)).clip(0, 255).astype(np.uint8)
    mask = square(96, 30, 30, 36)
    filled = patchmatch.fill(photo, mask) * 255
    inner = filled[36:60, 36:60]
    assert inner.std() == pytest.approx(12, rel=0.2)
    assert classical.fill(photo, mask)[36:60, 36:60].std() * 255 < 6


def test_light_that_changes_slowly_leaves_no_step():
    ramp = np.linspace(60, 200, 160)
    photo = np.repeat(np.repeat(ramp[None, :, None], 160, 0), 3, 2)
    photo = (photo + np.random.default_rng(2).normal(0, 1, photo.shape)).astype(np.uint8)
    mask = square(160, 50, 40, 80)
    filled = patchmatch.fill(photo, mask) * 255
    steps = np.abs(np.diff(cv2.blur(filled[..., 0], (1, 15))[60:120], axis=1))
    assert steps.max() < 6
    assert error(filled / 255, photo, mask) < 6


def test_known_pixels_stay_and_equal_input_gives_equal_output():
    photo, mask = checkers(), square(128, 10, 80, 40)
    one, other = patchmatch.fill(photo, mask), patchmatch.fill(photo.copy(), mask.copy())
    assert np.array_equal(one, other)
    known = mask == 0
    assert np.array_equal(np.round(one * 255).astype(np.uint8)[known], photo[known])


def test_sixteen_bits_are_not_reduced_to_eight():
    rng = np.random.default_rng(0)
    photo = rng.integers(20000, 24000, (96, 96, 3)).astype(np.uint16)
    mask = square(96, 30, 30, 30)
    filled = np.round(patchmatch.fill(photo, mask) * 65535).astype(np.uint16)
    assert np.array_equal(filled[mask == 0], photo[mask == 0])
    assert len(np.unique(filled[mask > 0])) > 1000


def test_thin_holes_are_those_of_classical():
    photo = checkers()
    mask = np.zeros((128, 128), np.uint8)
    cv2.line(mask, (5, 8), (120, 100), 255, 5)
    assert np.array_equal(patchmatch.fill(photo, mask), classical.fill(photo, mask))


def test_classical_works_only_where_its_fill_is_used(monkeypatch):
    photo, mask = checkers(), square(128, 40, 44, 40)
    filled = patchmatch.fill(photo, mask)
    monkeypatch.setattr(classical, "fill", None)
    assert np.array_equal(patchmatch.fill(photo, mask), filled)


def test_a_thin_part_beside_a_thick_one_is_filled_but_never_copied():
    photo = checkers()
    mask = square(128, 40, 40, 40)
    mask[:, 110:114] = 255
    photo[mask > 0] = (0, 255, 0)
    filled = patchmatch.fill(photo, mask) * 255
    assert (filled[..., 1] - filled[..., 0]).max() < 60
    assert np.array_equal(filled[:, 110:114], classical.fill(photo, mask)[:, 110:114] * 255)


@pytest.mark.parametrize(
    "place", [(0, 0), (0, 40), (88, 88), (40, 88)], ids=["corner", "top", "far corner", "right"]
)
def test_a_hole_at_the_border_is_filled(place):
    photo, mask = checkers(), square(128, *place, 40)
    filled = patchmatch.fill(np.where(mask[..., None] > 0, 255, photo).astype(np.uint8), mask)
    assert error(filled, photo, mask) < 40
    assert filled.max() < 0.95  # nothing of what was under the mask


def test_what_is_under_the_mask_does_not_matter():
    photo, mask = checkers(), square(128, 30, 50, 44)
    other = np.where(mask[..., None] > 0, (255, 0, 255), photo).astype(np.uint8)
    assert np.array_equal(patchmatch.fill(photo, mask), patchmatch.fill(other, mask))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(120, 7), (7, 120), (120, 8), (8, 120)])
def test_a_strip_is_filled(shape):
    photo = np.random.default_rng(0).integers(90, 110, (*shape, 3)).astype(np.uint8)
    mask = np.zeros(shape, np.uint8)
    mask[:14, :14] = 255
    filled = patchmatch.fill(photo, mask) * 255
    assert filled.min() > 80
    assert filled.max() < 120


def test_nothing_to_copy_from_is_left_to_classical():
    photo = checkers(40)
    mask = np.full((40, 40), 255, np.uint8)
    mask[:4] = 0
    assert np.array_equal(patchmatch.fill(photo, mask), classical.fill(photo, mask))
    assert (patchmatch.fill(photo, np.full((40, 40), 255, np.uint8)) == 0.5).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 70), st.integers(1, 70), st.floats(0.05, 0.9), st.integers(0, 1 << 16))
def test_any_size_and_any_hole_is_filled(height, width, share, seed):
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    noise = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 3)
    mask = np.multiply(noise <= np.quantile(noise, share), 255, dtype=np.uint8)
    filled = patchmatch.fill(photo, mask)
    assert filled.shape == photo.shape
    assert filled.dtype == np.float32
    assert np.isfinite(filled).all()
    assert filled.min() >= 0
    assert filled.max() <= 1
    known = mask == 0
    assert np.array_equal(np.round(filled * 255).astype(np.uint8)[known], photo[known])


def test_a_hole_that_is_too_large_for_many_passes_is_still_filled(monkeypatch):
    monkeypatch.setattr(patchmatch, "_WORK", 500)
    photo, mask = checkers(), square(128, 40, 44, 40)
    assert error(patchmatch.fill(photo, mask), photo, mask) < 40
