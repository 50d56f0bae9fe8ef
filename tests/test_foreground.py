"""A cut-out keeps its subject's colours and nothing of its old background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd import foreground as foregrounds
from retouchd import underlying
from retouchd.foreground import cut_out, foreground, uncut
from retouchd.multilevel import both_colours


def _scene(height=160, width=200, dtype=np.uint8, softness=6.0):
    """A soft disc of varied colour on a varied background: photo, alpha, subject."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u = height / 6
    apart = np.hypot(y - height / 2, x - width / 2) - min(height, width) / 3
    alpha = (0.5 - apart / (2 * softness)).clip(0, 1).astype(np.float32)
    front = np.stack([0.8 + 0.1 * np.sin(x / u), 0.5 + 0.2 * np.cos(y / u), 0.2 + 0 * x], 2)
    back = np.stack([0.1 + 0 * x, 0.3 + 0.2 * np.sin(y / u), 0.7 + 0.2 * np.cos(x / u)], 2)
    photo = alpha[..., None] * front + (1 - alpha[..., None]) * back
    top = np.iinfo(dtype).max
    return (photo * top + 0.5).astype(dtype), alpha, front


def _error(found, front, where):
    return np.abs(found / np.iinfo(found.dtype).max - front)[where].mean() * 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_old_background_is_gone_from_the_soft_edge(dtype: type) -> None:
    photo, alpha, front = _scene(dtype=dtype)
    soft = (alpha > 0.05) & (alpha < 0.95)

    found = foreground(photo, alpha)

    assert found.dtype == dtype
    assert _error(photo, front, soft) > 40
    assert _error(found, front, soft) < 6


def test_a_large_photo_is_as_good_although_worked_out_small() -> None:
    photo, alpha, front = _scene(1200, 1500, softness=25)
    soft = (alpha > 0.05) & (alpha < 0.95)

    assert _error(foreground(photo, alpha), front, soft) < 6


def test_opaque_pixels_are_exactly_the_photos() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (300, 300, 3), np.uint8)
    alpha = cv2.GaussianBlur(rng.random((300, 300)).astype(np.float32), (0, 0), 12)
    alpha = ((alpha - 0.49) * 40).clip(0, 1).astype(np.float32)

    found = foreground(photo, alpha)

    np.testing.assert_array_equal(found[alpha == 1], photo[alpha == 1])


def test_colours_go_on_beneath_the_transparent_so_that_scaling_shows_no_halo() -> None:
    """A program that scales colour and alpha apart mixes in what lies beneath."""
    photo, alpha, front = _scene()
    beyond = (alpha == 0) & (cv2.dilate(alpha, np.ones((21, 21), np.uint8)) > 0)

    found = foreground(photo, alpha)

    assert _error(photo, front, beyond) > 80
    assert _error(found, front, beyond) < 25


def test_nothing_of_the_background_is_left_in_the_file() -> None:
    photo, alpha, _ = _scene(400, 500)
    photo[:40, :40] = (1, 2, 3)  # a name tag in the corner

    found = foreground(photo, alpha)

    far = cv2.dilate(alpha, np.ones((401, 401), np.uint8)) == 0
    assert not far.any() or len(np.unique(found[far], axis=0)) == 1
    assert len(np.unique(found[:30, :30].reshape(-1, 3), axis=0)) == 1


def test_a_hard_edge_gets_its_colours_carried_on_as_well() -> None:
    photo, alpha, front = _scene()
    alpha = np.round(alpha)
    beside = (alpha == 0) & (cv2.dilate(alpha, np.ones((5, 5), np.uint8)) > 0)
    photo[alpha == 1] = (front[alpha == 1] * 255).astype(np.uint8)

    assert _error(foreground(photo, alpha), front, beside) < 25


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_without_an_edge_there_is_all_or_nothing(level: float) -> None:
    photo = np.random.default_rng(0).integers(1, 256, (20, 30, 3), np.uint8)

    found = foreground(photo, np.full((20, 30), level, np.float32))

    np.testing.assert_array_equal(found, photo if level else 0)


@pytest.mark.parametrize("times", [1, 4])
def test_how_the_work_is_divided_makes_no_difference(times: int, monkeypatch) -> None:
    """What bears on a part is all in its frame, at full size and reduced."""
    photo, alpha, _ = _scene(250 * times, 330 * times, softness=4 * times)
    whole = foreground(photo, alpha)

    monkeypatch.setattr(underlying, "_SOLVED", 1)
    monkeypatch.setattr(underlying, "_LONG", 90)
    monkeypatch.setattr(underlying, "_GAP", 0)
    monkeypatch.setattr(foregrounds, "_AT_ONCE", 60)
    monkeypatch.setattr(foregrounds, "_GAP", 0)
    divided = foreground(photo, alpha)

    assert np.abs(divided.astype(int) - whole).max() <= 1


def test_a_cut_out_without_its_own_colours_has_the_photos() -> None:
    photo, alpha, _ = _scene()

    found = uncut(photo, alpha)

    np.testing.assert_array_equal(found[..., :3], photo)
    np.testing.assert_array_equal(found[..., 3], cut_out(photo, alpha)[..., 3])
    assert np.abs(found[..., 3] / 255 - alpha).max() <= 0.5001 / 255


def test_haze_stays_and_hides_no_background() -> None:
    """A network's nearly nothing is no edge: one colour goes with it."""
    photo, alpha, _ = _scene(400, 500)
    hazy = np.maximum(alpha, np.float32(0.012))

    found = cut_out(photo, hazy)

    assert (found[:30, :30, 3] == 3).all()
    assert len(np.unique(found[:30, :30].reshape(-1, 4), axis=0)) == 1


@settings(max_examples=40)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(1, 4),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 5),
)
def test_any_photo_and_alpha_will_do(height, width, channels, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)
    before = photo.copy()
    alpha = rng.choice([0, 0.01, 0.5, 0.99, 1], (height, width)).astype(np.float32)

    found = foreground(photo, alpha)

    assert found.shape == (height, width, 1 if channels < 3 else 3)
    assert found.dtype == dtype
    np.testing.assert_array_equal(photo, before)
    kept = photo[..., :1] if channels < 3 else photo[..., :3]
    np.testing.assert_array_equal(found[alpha == 1], kept[alpha == 1])


def test_both_colours_mix_to_the_photo_again() -> None:
    photo, alpha, _ = _scene(80, 90)
    image = photo.astype(np.float32) / 255

    first, second = both_colours(image, alpha)

    mixed = alpha[..., None] * first + (1 - alpha[..., None]) * second
    assert np.abs(mixed - image).max() < 0.02
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_same_photo_in_two_colours_is_found_exactly() -> None:
    """Plain subject on plain background: the one case with only one answer."""
    _, alpha, _ = _scene(64, 64)
    front, back = np.array([0.9, 0.4, 0.1]), np.array([0.1, 0.3, 0.8])
    image = alpha[..., None] * front + (1 - alpha[..., None]) * back

    first, second = both_colours(image.astype(np.float32), alpha)

    assert np.abs(first - front)[alpha > 0.1].max() < 0.03
    assert np.abs(second - back)[alpha < 0.9].max() < 0.03


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("way", [cut_out, uncut])
def test_an_alpha_may_be_of_the_photos_type(way, dtype: type) -> None:
    photo, alpha, *_ = _scene(dtype=dtype)
    top = np.iinfo(dtype).max
    samples = np.round(alpha * top).astype(dtype)

    found = way(photo, samples)

    np.testing.assert_array_equal(found[..., -1], samples)
    np.testing.assert_array_equal(found, way(photo, samples.astype(np.float32) / top))
