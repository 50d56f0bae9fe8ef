"""A trimap says what is sure, and is never surer than the mask that it came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.trimap import BandSettings, from_alpha, from_mask, half_width, prior_from, reduced


def _mask(height, width, *boxes):
    mask = np.zeros((height, width), np.uint8)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = 255
    return mask


def test_the_band_lies_as_far_on_either_side_of_the_edge() -> None:
    mask = _mask(200, 200, (50, 50, 150, 150))

    trimap = from_mask(mask, BandSettings(share=0.1))

    assert half_width(mask, BandSettings(share=0.1)) == 10
    row = trimap[100]
    assert (row[:39] == 0).all()
    assert (row[41:59] == 0.5).all()
    assert (row[61:139] == 1).all()


def test_the_photos_border_is_no_edge() -> None:
    """A person cut off at the waist is sure down to the last row."""
    trimap = from_mask(_mask(200, 200, (60, 60, 200, 140)), BandSettings(share=0.1))

    assert (trimap[199, 75:125] == 1).all()


def test_a_larger_photo_of_the_same_has_the_same_band() -> None:
    small = from_mask(_mask(100, 100, (30, 30, 70, 70)), BandSettings(share=0.1))
    large = from_mask(_mask(400, 400, (120, 120, 280, 280)), BandSettings(share=0.1))

    assert abs((small == 0.5).mean() - (large == 0.5).mean()) < 0.02


def test_thin_parts_keep_a_sure_core_specks_are_unknown_and_dust_is_not_seen() -> None:
    thin, speck, dust = (20, 150, 180, 158), (5, 180, 18, 193), (195, 195, 198, 198)
    mask = _mask(200, 200, (20, 20, 180, 110), thin, speck, dust)

    trimap = from_mask(mask, BandSettings(share=0.1))

    assert (trimap[100, 150:158] == 1).any()
    assert (trimap[5:18, 180:193] == 0.5).all()
    assert (trimap[190:, 190:] == 0).all()


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_without_an_edge_leaves_nothing_unknown(value: int) -> None:
    assert (from_mask(np.full((9, 9), value, np.uint8)) == value / 255).all()


@given(st.integers(0, 40), st.integers(1, 60), st.floats(0.005, 0.2), st.integers(0, 5))
def test_what_is_sure_agrees_with_the_mask(place, side, share, seed) -> None:
    mask = _mask(90, 80, (place, place // 2, place + side, place // 2 + side))
    mask[np.random.default_rng(seed).random((90, 80)) > 0.99] = 255

    trimap = from_mask(mask, BandSettings(share=share))

    assert set(np.unique(trimap)) <= {0, 0.5, 1}
    assert trimap.dtype == np.float32
    assert (mask[trimap == 1] == 255).all()
    # Dust is not seen.
    assert np.count_nonzero(mask[trimap == 0]) <= 0.02 * np.count_nonzero(mask)
    assert (trimap == 1).any()


def test_grey_values_in_a_mask_fall_on_one_side() -> None:
    mask = _mask(60, 60, (20, 20, 40, 40))
    noisy = np.where(mask > 0, 190, 40).astype(np.uint8)

    np.testing.assert_array_equal(from_mask(noisy), from_mask(mask))


def test_a_soft_alpha_is_unknown_where_it_is_soft_and_around() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, 20:] = 1
    alpha[:, 18:22] = 0.5

    trimap = from_alpha(alpha, 3)

    assert (trimap[20, 15:25] == 0.5).all()
    assert (trimap[20, :14] == 0).all()
    assert (trimap[20, 26:] == 1).all()


def test_a_hard_alpha_is_unknown_along_its_edge() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, 20:] = 1

    assert (from_alpha(alpha, 2)[20, 18:22] == 0.5).all()


def test_the_prior_is_a_slope_over_the_edge() -> None:
    prior = prior_from(_mask(60, 60, (0, 30, 60, 60)), 8)

    assert prior.dtype == np.float32
    assert (np.diff(prior[30]) >= -1e-6).all()
    assert 0.4 < prior[30, 29] < 0.5 < prior[30, 30] < 0.6
    assert prior[30, 10] < 0.01
    assert prior[30, 50] > 0.99


@given(st.integers(3, 50), st.integers(3, 50), st.integers(0, 9))
def test_a_reduced_trimap_is_sure_only_of_what_all_was_sure_of(height, width, seed) -> None:
    trimap = np.random.default_rng(seed).choice([0, 0.5, 1], (50, 50), p=[0.6, 0.01, 0.39])
    trimap = trimap.astype(np.float32)
    trimap[:, :25] = np.where(trimap[:, :25] == 0.5, 0.5, 1)

    small = reduced(trimap, (height, width))

    for y, x in zip(*np.nonzero(small != 0.5), strict=True):
        rows = slice(y * 50 // height, -(-(y + 1) * 50 // height))
        columns = slice(x * 50 // width, -(-(x + 1) * 50 // width))
        assert (trimap[rows, columns] == small[y, x]).mean() > 0.98
