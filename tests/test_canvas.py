"""A cut-out lies where it should, and its edge shows neither old background nor black."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.canvas import Canvas, bounds, placed

RED = (0.9, 0.1, 0.1)


def _cutout(size, box, dtype=np.uint8, channels=4, blur=0.0):
    """A red box, with black beneath what is transparent."""
    top = np.iinfo(dtype).max
    alpha = np.zeros(size, np.float32)
    alpha[box[0] : box[2], box[1] : box[3]] = 1
    if blur:
        alpha = cv2.GaussianBlur(alpha, (0, 0), blur)
    colours = np.array(RED if channels == 4 else RED[:1]) * (alpha > 0)[..., None]
    return (np.dstack([colours, alpha]) * top + 0.5).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_without_wishes_the_cut_out_is_not_even_copied(dtype, channels) -> None:
    cutout = _cutout((60, 80), (20, 30, 40, 50), dtype, channels)

    assert placed(cutout, Canvas()) is cutout


def test_a_tight_crop_is_the_subjects_frame_and_its_margin() -> None:
    cutout = _cutout((60, 80), (20, 30, 40, 60))

    np.testing.assert_array_equal(placed(cutout, Canvas("tight")), cutout[20:40, 30:60])
    wide = placed(cutout, Canvas("tight", margin=0.1))
    np.testing.assert_array_equal(wide, cutout[17:43, 27:63])


def test_a_margin_beyond_the_photo_is_transparent() -> None:
    cutout = _cutout((60, 80), (0, 0, 40, 60))

    found = placed(cutout, Canvas("tight", margin=0.5))

    assert found.shape == (100, 120, 4)
    assert not found[:30, :, 3].any()
    assert np.abs(found[:30, :, :3] / 255 - RED).max() < 0.01
    np.testing.assert_array_equal(found[30:70, 30:90], cutout[:40, :60])


def test_a_square_crop_has_the_subject_in_its_middle() -> None:
    found = placed(_cutout((60, 80), (10, 30, 50, 40)), Canvas("square", margin=0.1))

    assert found.shape == (48, 48, 4)
    assert bounds(found) == ((4, 44), (19, 29))


@pytest.mark.parametrize("box", [(20, 30, 40, 50), (5, 30, 95, 60), (45, 10, 55, 190)])
@pytest.mark.parametrize("size", [(400, 400), (300, 500)])
def test_on_a_canvas_the_subject_fills_its_share_and_stands_in_the_middle(box, size) -> None:
    found = placed(_cutout((100, 200), box), Canvas(size=size, fill=0.8))

    (top, bottom), (left, right) = bounds(found)
    assert found.shape == (*size, 4)
    assert max((bottom - top) / size[0], (right - left) / size[1]) == pytest.approx(0.8, abs=0.01)
    ratio = (box[3] - box[1]) / (box[2] - box[0])
    assert (right - left) / (bottom - top) == pytest.approx(ratio, rel=0.06)
    assert abs(top - (size[0] - bottom)) <= 2
    assert abs(left - (size[1] - right)) <= 2


def test_a_bust_stands_on_the_lower_border_instead_of_floating() -> None:
    found = placed(_cutout((100, 100), (30, 30, 100, 70)), Canvas(size=(200, 200)))

    (top, bottom), _ = bounds(found)
    assert bottom == 200
    assert top == 30


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(90, 90), (700, 700)])
def test_scaling_mixes_no_black_into_the_edge(dtype, size) -> None:
    cutout = _cutout((200, 200), (60, 60, 140, 140), dtype, blur=3)

    found = placed(cutout, Canvas(size=size))

    top = np.iinfo(dtype).max
    seen = found[..., 3] > 0.05 * top
    assert (found[..., 3][seen] < top).any()
    assert np.abs(found[..., :3][seen] / top - RED).max() < 0.03


def test_scaling_keeps_colours_beneath_what_is_transparent() -> None:
    cutout = _cutout((200, 200), (60, 60, 140, 140))
    cutout[..., :3] = (230, 25, 25)

    found = placed(cutout, Canvas(size=(90, 90)))

    assert (found[..., 3] == 0).any()
    assert np.abs(found[..., :3].astype(int) - (230, 25, 25)).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_background_shows_as_much_as_the_subject_lets_it(dtype) -> None:
    cutout = _cutout((60, 60), (20, 20, 40, 40), dtype, blur=2)

    found = placed(cutout, Canvas(background=(0.0, 0.5, 1.0)))

    top = np.iinfo(dtype).max
    share = cutout[..., 3:] / top
    expected = share * cutout[..., :3] / top + (1 - share) * np.array([0, 0.5, 1])
    assert found.shape == (60, 60, 3)
    assert found.dtype == dtype
    np.testing.assert_allclose(found / top, expected, atol=1.01 / top)


def test_opaque_pixels_are_exactly_the_subjects_on_any_background() -> None:
    cutout = np.random.default_rng(0).integers(0, 256, (50, 60, 4), np.uint8)
    opaque = cutout[..., 3] > 100
    cutout[opaque, 3] = 255

    found = placed(cutout, Canvas(background=(0.3, 0.6, 0.9)))

    np.testing.assert_array_equal(found[opaque], cutout[opaque, :3])


@pytest.mark.parametrize("shape", [(90, 40, 3), (30, 200, 4), (60, 80, 1), (700, 900, 3)])
def test_a_picture_behind_covers_the_canvas_from_its_middle(shape) -> None:
    cutout = np.zeros((60, 80, 4), np.uint8)
    picture = np.zeros(shape, np.uint8)
    picture[..., 0] = np.linspace(0, 200, shape[1])[None]

    found = placed(cutout, Canvas(), picture)

    assert found.shape == (60, 80, 3)
    assert found[:, :40, 0].mean() < 100 < found[:, 40:, 0].mean()
    # Not squeezed: the slope per pixel is the picture's own, scaled alike both ways.
    scale = max(60 / shape[0], 80 / shape[1])
    slope = np.diff(found[30, 10:70, 0].astype(float)).mean()
    assert slope == pytest.approx(200 / shape[1] / scale, rel=0.1)


def test_a_picture_behind_may_have_another_depth() -> None:
    cutout = np.zeros((20, 20, 4), np.uint16)

    found = placed(cutout, Canvas(), np.full((20, 20, 3), 255, np.uint8))

    assert found.dtype == np.uint16
    assert (found == 65535).all()


def test_a_grey_cutout_becomes_coloured_only_before_a_colour() -> None:
    cutout = _cutout((20, 20), (5, 5, 15, 15), channels=2)

    assert placed(cutout, Canvas(background=(1, 1, 1))).shape == (20, 20, 1)
    coloured = placed(cutout, Canvas(background=(1, 0, 0)))
    assert coloured.shape == (20, 20, 3)
    assert len(set(coloured[10, 10])) == 1


def test_an_empty_cutout_is_no_trouble() -> None:
    empty = np.zeros((40, 50, 4), np.uint8)

    assert placed(empty, Canvas("square")).shape == (50, 50, 4)
    assert not placed(empty, Canvas(size=(100, 100)))[..., 3].any()


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["none", "tight", "square"]),
    st.floats(0, 0.6),
    st.sampled_from([None, (30, 50), (7, 3)]),
    st.floats(0.05, 1),
    st.sampled_from([None, (1.0, 1.0, 1.0)]),
    st.integers(0, 5),
)
def test_any_wish_gives_a_picture_of_the_right_kind(
    height, width, crop, margin, size, fill, background, seed
) -> None:
    rng = np.random.default_rng(seed)
    cutout = rng.integers(0, 256, (height, width, 4), np.uint8)
    cutout[..., 3] *= rng.random((height, width)) > 0.7

    found = placed(cutout, Canvas(crop, margin, size, fill, background))

    assert found.dtype == np.uint8
    assert found.shape[2] == (4 if background is None else 3)
    if size:
        assert found.shape[:2] == size
    elif crop == "square":
        assert found.shape[0] == found.shape[1]
