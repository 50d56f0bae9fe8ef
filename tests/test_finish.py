"""Every wish does what it says, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.finish import Finish, finished


def _alpha(*boxes, size=(120, 160), blur=1.5):
    alpha = np.zeros(size, np.float32)
    for top, left, bottom, right in boxes:
        alpha[top:bottom, left:right] = 1
    return cv2.GaussianBlur(alpha, (0, 0), blur)


BIG, SMALL = (20, 20, 100, 90), (50, 120, 70, 140)

finishes = st.builds(
    Finish,
    min_area=st.integers(0, 500),
    keep_largest=st.booleans(),
    bilateral=st.integers(0, 4),
    erode_kernel=st.integers(0, 7),
    feather_edge=st.integers(0, 12),
    alpha_threshold=st.floats(0, 1),
)


def test_without_wishes_the_alpha_is_not_even_copied() -> None:
    alpha = _alpha(BIG, SMALL)

    assert finished(alpha, Finish()) is alpha


@given(finishes, st.integers(1, 60), st.integers(1, 60), st.integers(0, 9))
def test_whatever_is_asked_alpha_stays_an_alpha_and_the_input_as_it_is(
    finish, height, width, seed
) -> None:
    alpha = np.random.default_rng(seed).choice([0, 0.02, 0.5, 1], (height, width))
    alpha = alpha.astype(np.float32)
    before = alpha.copy()

    found = finished(alpha, finish)

    assert found.shape == alpha.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(alpha, before)
    # Only a bilateral filter can add to the subject.
    if not finish.bilateral:
        assert (found <= alpha).all()


def test_only_the_largest_part_stays_with_all_of_its_soft_edge() -> None:
    found = finished(_alpha(BIG, SMALL), Finish(keep_largest=True))

    np.testing.assert_array_equal(found[:, :100], _alpha(BIG)[:, :100])
    assert not found[:, 110:].any()


@pytest.mark.parametrize(("least", "stays"), [(300, True), (500, False)])
def test_parts_under_an_area_vanish(least: int, stays: bool) -> None:
    found = finished(_alpha(BIG, SMALL), Finish(min_area=least))

    assert found[60, 130] == pytest.approx(1.0 if stays else 0.0, abs=1e-3)
    assert found[60, 50] > 0.99


def test_if_every_part_is_too_small_nothing_is_left() -> None:
    assert not finished(_alpha(BIG, SMALL), Finish(min_area=10_000)).any()


def test_eroding_shrinks_by_half_a_kernel_but_not_at_the_photos_border() -> None:
    alpha = np.zeros((60, 60), np.float32)
    alpha[20:, 10:50] = 1

    found = finished(alpha, Finish(erode_kernel=5))

    expected = np.zeros((60, 60), np.float32)
    expected[22:, 12:48] = 1
    np.testing.assert_array_equal(found, expected)


def test_a_feather_slopes_inwards_over_its_width() -> None:
    alpha = np.zeros((60, 60), np.float32)
    alpha[:, 20:] = 1

    row = finished(alpha, Finish(feather_edge=8))[30]

    assert not row[:20].any()
    assert (np.diff(row) >= -1e-6).all()
    assert 0.05 < row[21] < 0.4
    assert row[27] > 0.8
    np.testing.assert_allclose(row[29:], 1, atol=1e-6)


def test_a_threshold_removes_haze_and_keeps_the_rest() -> None:
    alpha = _alpha(BIG)
    alpha[:10] = 0.08

    found = finished(alpha, Finish(alpha_threshold=0.1))

    assert not found[:10].any()
    np.testing.assert_array_equal(found[alpha >= 0.1], alpha[alpha >= 0.1])


def test_a_bilateral_filter_smooths_a_ragged_edge_the_same_in_every_tile() -> None:
    rng = np.random.default_rng(0)
    alpha = _alpha((100, 100, 500, 500), size=(600, 600))
    ragged = (alpha + rng.normal(0, 0.1, alpha.shape) * (alpha > 0.02)).clip(0, 1)
    ragged = ragged.astype(np.float32)

    found = finished(ragged, Finish(bilateral=4))

    assert np.abs(np.diff(found)).sum() < 0.5 * np.abs(np.diff(ragged)).sum()
    whole = cv2.bilateralFilter(ragged, 9, 0.3, 2)
    np.testing.assert_allclose(found[8:-8, 8:-8], whole[8:-8, 8:-8], atol=2e-3)


def test_bytes_stay_what_they_are_unless_something_is_asked_for() -> None:
    grey = (_alpha(BIG, SMALL) * 255).astype(np.uint8)
    asked = Finish(erode_kernel=5)

    assert finished(grey, Finish()) is grey
    found = finished(grey, asked)
    np.testing.assert_array_equal(found, finished(grey.astype(np.float32) / 255, asked))
