"""A small alpha takes the photo's edges on, and stays what it was."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd import enlarging
from retouchd.enlarging import enlarge, enlarge_to_bytes, undecided
from retouchd.scaling import resized


def _disc(height: int, width: int) -> np.ndarray:
    """A disc's exact alpha, from sixteen samples a pixel."""
    fine = np.zeros((4 * height, 4 * width), np.uint8)
    cv2.circle(fine, (2 * width, 2 * height), int(1.3 * min(height, width)), 255, -1)
    return resized(fine.astype(np.float32) / 255, (height, width))


def _photo(alpha: np.ndarray, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(0)
    front = np.array([0.9, 0.5, 0.2]) + rng.normal(0, 0.02, (*alpha.shape, 3))
    back = np.array([0.2, 0.4, 0.6]) + rng.normal(0, 0.02, (*alpha.shape, 3))
    mixed = (front * alpha[..., None] + back * (1 - alpha[..., None])).clip(0, 1)
    return (mixed * np.iinfo(dtype).max + 0.5).astype(dtype)


@pytest.mark.parametrize("size", [(300, 400), (301, 397), (250, 90)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_edge_is_three_times_as_exact_as_by_bicubic_enlargement(size, dtype) -> None:
    alpha = _disc(*size)
    small = resized(alpha, (size[0] // 6, size[1] // 6))
    plain = resized(small, size).clip(0, 1)

    found = enlarge(_photo(alpha, dtype), small)

    assert found.shape == size
    assert found.dtype == np.float32
    assert np.abs(found - alpha).sum() < np.abs(plain - alpha).sum() / 3


@settings(max_examples=40)
@given(st.integers(20, 200), st.integers(20, 200), st.floats(1.01, 9), st.integers(1, 4))
def test_any_size_and_kind_gives_an_alpha_in_range(height, width, times, channels) -> None:
    rng = np.random.default_rng(height)
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    small_size = (max(1, int(height / times)), max(1, int(width / times)))
    small = rng.choice([0, 0.4, 1], small_size).astype(np.float32)

    found = enlarge(pixels, small)

    assert found.shape == (height, width)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_reduced_again_it_is_the_small_alpha() -> None:
    """So a filter can not make up what the network did not say."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (320, 480, 3), np.uint8)
    small = cv2.GaussianBlur(rng.random((40, 60)).astype(np.float32), (0, 0), 2)
    small = ((small - 0.4) * 4).clip(0, 1)

    again = resized(enlarge(pixels, small), small.shape)

    assert np.abs(again - small).mean() < 0.01


def test_patches_leave_no_seams() -> None:
    """Neighbouring patches compute the pixels between them from the same small pixels."""
    alpha = _disc(480, 640)
    small, pixels = resized(alpha, (96, 128)), _photo(alpha)

    whole = enlarge(pixels, small)

    # The same edge, with the grid of patches lying elsewhere.
    padded = np.pad(pixels, ((40, 0), (50, 0), (0, 0)), mode="edge")
    moved = enlarge(padded, np.pad(small, ((8, 0), (10, 0)), mode="edge"))[40:, 50:]
    np.testing.assert_allclose(moved, whole, atol=0.01)


@pytest.mark.parametrize("size", [(480, 640), (397, 523)])
def test_patches_of_any_size_give_the_same(size, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a patch sees of its neighbours is all that bears on it."""
    alpha = _disc(*size)
    small, pixels = resized(alpha, (96, 128)), _photo(alpha)
    whole = enlarge(pixels, small)

    monkeypatch.setattr(enlarging, "_PATCH", (35, 50))
    monkeypatch.setattr(enlarging, "_GAP", 0)

    np.testing.assert_allclose(enlarge(pixels, small), whole, atol=1e-3)


@pytest.mark.parametrize("size", [(300, 400), (301, 397), (30, 40)])
def test_in_bytes_it_is_the_same_but_for_rounding(size) -> None:
    alpha = _disc(*size)
    small = resized(alpha, (50, 66))

    found = enlarge_to_bytes(_photo(alpha), small)

    assert found.dtype == np.uint8
    np.testing.assert_allclose(found / 255, enlarge(_photo(alpha), small), atol=1.1 / 255)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_where_nothing_is_undecided_nothing_is_worked_out(level: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)

    found = enlarge(pixels, np.full((9, 9), level, np.float32))

    np.testing.assert_allclose(found, level, atol=1e-6)


def test_the_band_is_where_an_alpha_is_soft_or_steps() -> None:
    small = np.zeros((20, 20), np.float32)
    small[:, 10:] = 1
    small[3, 3] = 0.5

    band = undecided(small) > 0

    assert band[:, 9:11].all()
    assert band[2:5, 2:5].all()
    assert band.sum() == 2 * 20 + 9


def test_a_photo_smaller_than_its_alpha_is_only_resized() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)

    found = enlarge(pixels, np.eye(32, dtype=np.float32))

    np.testing.assert_allclose(found, resized(np.eye(32, dtype=np.float32), (8, 8)))


@pytest.mark.parametrize("name", ["lemur.png", "retriever.jpg", "osprey.jpg"])
def test_on_photos_it_is_nearer_to_the_truth_than_bicubic(samples: Path, name: str) -> None:
    folder = samples / "samples"
    photo = cv2.imread(str(folder / "matting" / name))[..., ::-1]
    truth = cv2.imread(str(folder / "matting_alpha" / name.replace("jpg", "png")), 0)
    alpha = truth.astype(np.float32) / 255
    size = tuple(side // 3 for side in alpha.shape)
    small = resized(alpha, size)

    found, plain = enlarge(photo, small), resized(small, alpha.shape).clip(0, 1)

    assert np.abs(found - alpha).sum() < 0.85 * np.abs(plain - alpha).sum()
