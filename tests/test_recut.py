"""A rough mask moves to the subject's edge, and what is far from its own edge stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from retouchd.recut import recut


def _scene(side: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A textured red disc on a textured green ground, and where it is."""
    noise = np.random.default_rng(0).integers(-25, 26, (side, side, 3))
    disc = cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 4, 255, -1)
    colours = np.where(disc[..., None] > 0, (190, 60, 60), (70, 150, 80))
    return (colours + noise).clip(0, 255).astype(np.uint8), disc


def _ring(width: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))


@pytest.mark.parametrize("change", [cv2.dilate, cv2.erode])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_that_is_off_all_along_is_moved_to_the_edge(change, dtype) -> None:
    photo, disc = _scene()
    rough = change(disc, _ring(2))
    deep = photo.astype(dtype) * (257 if dtype == np.uint16 else 1)

    trimap, guess = recut(deep, rough)

    truth = disc > 0
    assert ((guess > 0.5) != truth).mean() < 0.25 * ((rough > 0) != truth).mean()
    assert not (trimap[truth] == 0).any()
    assert not (trimap[~truth] == 1).any()


def test_what_is_far_from_the_masks_edge_stays_as_it_says() -> None:
    """Also a green spot in the middle of the red disc."""
    photo, disc = _scene()
    photo[95:105, 95:105] = (70, 150, 80)

    trimap, _ = recut(photo, disc)

    assert (trimap[95:105, 95:105] == 1).all()
    assert (trimap[:20] == 0).all()


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_of_all_or_nothing_is_taken_at_its_word(value: int) -> None:
    photo, _ = _scene(40)

    trimap, guess = recut(photo, np.full((40, 40), value, np.uint8))

    assert (trimap == value / 255).all()
    assert (guess == value / 255).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 50), (7, 7)])
def test_a_tiny_photo_is_no_trouble(size: tuple[int, int]) -> None:
    mask = np.zeros(size, np.uint8)
    mask[:, : size[1] // 2 + 1] = 255

    trimap, guess = recut(np.full((*size, 1), 90, np.uint8), mask)

    assert trimap.shape == guess.shape == size


def test_the_same_photo_gives_the_same_cut() -> None:
    photo, disc = _scene()
    first, again = (
        recut(photo, cv2.dilate(disc, _ring(3))),
        recut(photo, cv2.dilate(disc, _ring(3))),
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
