"""What counts as a hole, and what is said about masks that can't be meant."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retouchd import masks
from retouchd.config import Mask, Rectangle
from retouchd.errors import (
    MaskCoversTooMuch,
    MaskLooksInverted,
    MaskSizeWrong,
    MaskTooFaint,
    MaskUnreadable,
    RectangleOutside,
    from_wire,
)
from retouchd.growing import grow

NAMES = masks.Names("beach.jpg", "beach_mask.png")
holes = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 0, 0, 255]))
)


def blank(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


def disc_by_definition(hole: np.ndarray, radius: int) -> np.ndarray:
    y, x = np.mgrid[: hole.shape[0], : hole.shape[1]]
    out = blank(*hole.shape)
    for top, left in np.argwhere(hole):
        out[(y - top) ** 2 + (x - left) ** 2 <= radius**2] = 255
    return out


def test_only_what_is_brighter_than_the_threshold_is_a_hole():
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    assert masks.hole_from_grey(grey, Mask()).tolist() == [[0, 0, 255, 255]]
    assert masks.hole_from_grey(grey, Mask(threshold=128)).tolist() == [[0, 0, 0, 255]]


def test_an_inverted_mask_is_the_exact_complement():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    plain = masks.hole_from_grey(grey, Mask())
    assert np.array_equal(255 - plain, masks.hole_from_grey(grey, Mask(invert=True)))


@pytest.mark.parametrize(("dtype", "unit"), [(np.uint8, 1), (np.uint16, 257)])
def test_less_than_half_opaque_is_a_hole_at_both_depths(dtype, unit):
    alpha = (np.array([[0, 127, 128, 255]]) * unit).astype(dtype)
    assert masks.hole_from_alpha(alpha).tolist() == [[255, 255, 0, 0]]


@settings(max_examples=80, deadline=None)
@given(holes, st.integers(0, 40))
def test_growing_is_all_within_the_radius_by_definition(hole, radius):
    assert np.array_equal(grow(hole, radius), disc_by_definition(hole, radius))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 349), st.integers(0, 299)), max_size=12))
def test_growing_has_no_seams_between_its_tiles(points):
    hole = blank(350, 300)
    for y, x in points:
        hole[y, x] = 255
    assert np.array_equal(grow(hole, 13), disc_by_definition(hole, 13))


def test_growing_is_exact_at_the_largest_radius():
    hole = blank(1500, 2200)
    hole[3, 7] = hole[900, 1234] = hole[1499, 2199] = 255
    assert np.array_equal(grow(hole, 500), disc_by_definition(hole, 500))


def test_growing_leaves_its_input_alone():
    hole = blank(9, 9)
    hole[4, 4] = 255
    grow(hole, 3)
    grow(hole, 0)[:] = 7
    assert np.count_nonzero(hole) == 1


@settings(max_examples=100, deadline=None)
@given(holes, st.integers(1, 60), st.integers(1, 60))
def test_scaling_loses_no_hole_pixel_and_invents_none(hole, height, width):
    result = masks.scaled(hole, (height, width))
    for y in range(height):
        rows = slice(y * hole.shape[0] // height, -(-(y + 1) * hole.shape[0] // height))
        for x in range(width):
            columns = slice(x * hole.shape[1] // width, -(-(x + 1) * hole.shape[1] // width))
            assert result[y, x] == hole[rows, columns].max()


def test_a_mask_of_the_photos_size_is_taken_as_it_is():
    hole = blank(30, 40)
    assert masks.fit_to(hole, (30, 40), False, NAMES) is hole


def test_a_smaller_mask_of_the_same_shape_names_the_option_that_scales_it():
    with pytest.raises(MaskSizeWrong) as caught:
        masks.fit_to(blank(30, 40), (300, 401), False, NAMES)
    assert "beach_mask.png is 40 × 30, but the photo beach.jpg is 401 × 300" in str(caught.value)
    assert "mask.resize: true" in caught.value.advice


def test_a_smaller_mask_of_the_same_shape_is_scaled_by_option():
    hole = blank(30, 40)
    hole[29, 39] = 255
    result = masks.fit_to(hole, (300, 401), True, NAMES)
    assert result.shape == (300, 401)
    assert result[290:, 391:].all()
    assert not result[:290].any()


@pytest.mark.parametrize("size", [(400, 300), (200, 150), (100, 101)])
def test_a_mask_of_a_turned_photo_says_so(size):
    with pytest.raises(MaskSizeWrong) as caught:
        masks.fit_to(blank(size[1], size[0]), size, False, NAMES)
    assert "turn the mask by 90°" in caught.value.advice


def test_a_mask_of_another_shape_is_refused_even_with_the_option():
    with pytest.raises(MaskSizeWrong) as caught:
        masks.fit_to(blank(30, 40), (300, 420), True, NAMES)
    assert caught.value.advice.endswith("at the same size.")


def test_coverage_within_the_limit_is_returned():
    hole = blank(10, 10)
    hole[:6] = 255
    assert masks.check_coverage(hole, Mask(max_coverage=0.6), NAMES) == 0.6


def test_a_mask_over_the_limit_names_both_shares():
    hole = blank(10, 10)
    hole[:7] = 255
    with pytest.raises(MaskCoversTooMuch, match=r"covers 70.0% .* allows 60%"):
        masks.check_coverage(hole, Mask(max_coverage=0.6), NAMES)


def test_white_all_around_a_small_black_part_looks_inverted():
    hole = 255 - blank(20, 20)
    hole[8:12, 8:12] = 0
    with pytest.raises(MaskLooksInverted, match="looks inverted") as caught:
        masks.check_coverage(hole, Mask(), NAMES)
    assert "mask.invert: true" in caught.value.advice
    assert str(from_wire(caught.value.to_wire())) == str(caught.value)


def test_an_inverted_looking_mask_in_an_inverting_lane_names_the_lanes_setting():
    grey = blank(20, 20)
    grey[8:12, 8:12] = 255
    with pytest.raises(MaskLooksInverted) as caught:
        masks.read_hole((20, 20), Mask(invert=True), NAMES, grey=grey)
    assert "set it to false" in caught.value.advice


@pytest.mark.parametrize("limit", [0.6, 0.05])
def test_all_white_and_mostly_black_limits_are_not_called_inverted(limit):
    hole = 255 - blank(20, 20)
    hole[8:12, 8:14] = 0 if limit == 0.05 else 255
    with pytest.raises(MaskCoversTooMuch):
        masks.check_coverage(hole, Mask(max_coverage=limit), NAMES)


@pytest.mark.parametrize(
    ("corner", "rows", "columns"),
    [
        ("top-left", slice(3, 8), slice(2, 12)),
        ("top-right", slice(3, 8), slice(28, 38)),
        ("bottom-left", slice(22, 27), slice(2, 12)),
        ("bottom-right", slice(22, 27), slice(28, 38)),
    ],
)
def test_a_rectangle_is_measured_from_its_corner(corner, rows, columns):
    rectangle = Rectangle(corner=corner, x=2, y=3, width=10, height=5)
    expected = blank(30, 40)
    expected[rows, columns] = 255
    assert np.array_equal(masks.holes_from_rectangles((30, 40), [rectangle]), expected)


def test_a_rectangle_over_the_edge_is_clipped():
    rectangles = [
        Rectangle(corner="bottom-right", x=35, y=25, width=100, height=100),
        Rectangle(corner="top-left", x=39, y=0, width=9, height=1),
    ]
    hole = masks.holes_from_rectangles((30, 40), rectangles)
    assert np.count_nonzero(hole) == 5 * 5 + 1
    assert hole[:5, :5].all()
    assert hole[0, 39]


@pytest.mark.parametrize("corner", ["top-left", "top-right", "bottom-left", "bottom-right"])
@pytest.mark.parametrize("place", [{"x": 40}, {"y": 30}, {"x": 900, "y": 900}])
def test_a_rectangle_outside_the_photo_is_an_error_that_names_it(corner, place):
    inside = Rectangle(width=1, height=1)
    outside = Rectangle(corner=corner, width=10, height=5, **place)
    with pytest.raises(RectangleOutside, match=r"Rectangle 2 .* 40 × 30") as caught:
        masks.holes_from_rectangles((30, 40), [inside, outside])
    assert corner in caught.value.advice
    assert isinstance(caught.value, MaskUnreadable)


def test_an_empty_mask_is_no_error_but_is_said():
    hole = masks.read_hole((20, 30), Mask(), NAMES, grey=blank(20, 30))
    assert hole.coverage == 0
    assert not hole.mask.any()
    assert hole.notes == ("mask is empty: the output equals the input",)


def test_a_mask_painted_in_a_dark_colour_is_refused():
    grey = blank(20, 30)
    grey[5, 5] = 76
    with pytest.raises(MaskTooFaint, match="brightest value is 76"):
        masks.read_hole((20, 30), Mask(), NAMES, grey=grey)


def test_a_fine_grid_is_grown_by_less_so_that_something_is_left_between_and_that_is_said():
    grey = blank(400, 600)
    grey[::30] = grey[:, ::30] = 255
    hole = masks.read_hole((400, 600), Mask(), NAMES, grey=grey)
    assert np.array_equal(hole.mask, grow(grey, 5))
    assert hole.notes == (
        "mask was grown by 5 px instead of 10, which would have taken more of the photo than was "
        "marked",
    )


def test_coverage_is_that_of_the_mask_before_it_is_grown():
    grey = blank(40, 40)
    grey[20, 20] = 255
    hole = masks.read_hole((40, 40), Mask(dilate=10, max_coverage=0.2), NAMES, grey=grey)
    assert hole.coverage == 1 / 1600
    assert np.count_nonzero(hole.mask) > 300


def test_what_was_done_to_a_mask_is_noted():
    grey = 255 - blank(20, 20)
    grey[5:10, 5:10] = 128
    grey[5, 5] = 0
    lane = Mask(invert=True, resize=True, dilate=0)
    hole = masks.read_hole((40, 40), lane, NAMES, grey=grey)
    assert hole.notes == (
        "mask was inverted, as mask.invert says",
        "mask was scaled from 20 × 20 to 40 × 40",
        "6% of the mask is grey; over 127 counts as white",
    )
    assert np.count_nonzero(hole.mask) == 4


def test_mask_alpha_and_rectangles_add_up():
    grey, alpha = blank(20, 20), 255 - blank(20, 20)
    grey[2, 2] = 255
    alpha[5, 5] = 0
    corner = [Rectangle(width=1, height=1)]
    hole = masks.read_hole(
        (20, 20), Mask(dilate=0), NAMES, grey=grey, alpha=alpha, rectangles=corner
    )
    assert np.argwhere(hole.mask).tolist() == [[2, 2], [5, 5], [19, 19]]
    assert grey.sum() == 255


def test_nothing_to_go_by_is_an_error():
    with pytest.raises(MaskUnreadable, match="nothing says"):
        masks.read_hole((20, 20), Mask(), NAMES)


def test_jpeg_noise_around_a_painted_mask_floods_nothing():
    grey = blank(64, 64)
    cv2.circle(grey, (30, 30), 12, 255, -1)
    noisy = cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 0)
    assert np.count_nonzero(noisy[grey == 0]) > 0
    differs = masks.hole_from_grey(noisy, Mask()) != grey
    edge = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    assert not differs[edge == 0].any()
