"""A plain backdrop gives its subject away; everything else is admitted not to be one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.backdrop import find

WHITE, GREY, GREEN, BLACK = (0.95, 0.95, 0.95), (0.6, 0.6, 0.62), (0.2, 0.6, 0.3), (0.1, 0.1, 0.12)


def _subject(height, width, cut_off=False):
    alpha = np.zeros((height, width), np.uint8)
    middle = (width // 2, height if cut_off else height // 2)
    cv2.ellipse(alpha, middle, (width // 5, height // 3), 0, 0, 360, 255, -1)
    return cv2.GaussianBlur(alpha, (0, 0), 1).astype(np.float32) / 255


def _photo(alpha, colour, front=(0.75, 0.25, 0.15), *, shadow=0.0, light=0.12, noise=0.01):
    height, width = alpha.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    shade = 1 - light * (x * 0.5 + y * 0.7 + 0.4 * (x * x + y * y))
    if shadow:
        fallen = cv2.GaussianBlur(np.roll(alpha, height // 15, axis=0), (0, 0), height / 20)
        shade = shade * (1 - shadow * fallen)
    mixed = alpha[..., None] * front + (1 - alpha[..., None]) * (
        np.array(colour) * shade[..., None]
    )
    mixed += np.random.default_rng(0).normal(0, noise, mixed.shape)
    return (mixed.clip(0, 1) * 255).astype(np.uint8)


def _overlap(mask, alpha):
    ours, truth = mask > 0, alpha > 0.5
    return (ours & truth).sum() / (ours | truth).sum()


@pytest.mark.parametrize("colour", [WHITE, GREY, GREEN, BLACK])
@pytest.mark.parametrize("cut_off", [False, True])
def test_a_subject_on_an_unevenly_lit_backdrop_is_found(colour, cut_off) -> None:
    alpha = _subject(300, 400, cut_off)

    found = find(_photo(alpha, colour))

    assert found.mask.shape == alpha.shape
    assert set(np.unique(found.mask)) == {0, 255}
    assert _overlap(found.mask, alpha) > 0.95
    assert found.confidence > 0.8
    np.testing.assert_allclose(found.colour, colour, atol=0.12)


@pytest.mark.parametrize("colour", [WHITE, GREY, GREEN])
def test_a_soft_shadow_is_not_the_subject(colour) -> None:
    alpha = _subject(300, 400)

    found = find(_photo(alpha, colour, shadow=0.25))

    assert _overlap(found.mask, alpha) > 0.93


def test_the_hole_of_a_handle_shows_the_backdrop() -> None:
    alpha = _subject(300, 400)
    cv2.circle(alpha, (200, 150), 30, 0.0, -1)

    assert find(_photo(alpha, WHITE)).mask[150, 200] == 0


def test_a_white_spot_on_the_subject_is_not_a_hole() -> None:
    alpha = _subject(300, 400)
    photo = _photo(alpha, WHITE)
    photo[148:153, 198:203] = 242

    assert find(photo).mask[150, 200] == 255


def test_the_mask_has_the_photos_size_and_place() -> None:
    alpha = _subject(1501, 1003)

    found = find(_photo(alpha, WHITE))

    assert found.mask.shape == (1501, 1003)
    assert _overlap(found.mask, alpha) > 0.97


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_greys_and_deep_photos_are_read_alike(dtype) -> None:
    alpha = _subject(200, 200)
    photo = _photo(alpha, WHITE, (0.2, 0.2, 0.2))[..., :1].astype(dtype)

    found = find(photo * (257 if dtype == np.uint16 else 1))

    assert _overlap(found.mask, alpha) > 0.95


def _noise(seed):
    rng = np.random.default_rng(seed)
    waves = [cv2.GaussianBlur(rng.normal(size=(200, 300, 3)), (0, 0), s) * s for s in (2, 6, 18)]
    mixed = sum(waves)
    return ((mixed / mixed.std() * 0.2 + 0.5).clip(0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_where_there_is_no_backdrop_there_is_no_confidence(seed: int) -> None:
    assert find(_noise(seed)).confidence < 0.2


def test_a_sky_over_a_ground_is_no_backdrop() -> None:
    photo = np.full((200, 300, 3), (150, 190, 230), np.uint8)
    photo[140:] = (90, 120, 60)

    assert find(photo).confidence < 0.5


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_backdrop_without_a_subject_is_not_trusted(value: int) -> None:
    found = find(np.full((120, 160, 3), value, np.uint8))

    assert found.confidence == 0
    assert not found.mask.any()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(0, 3))
def test_any_photo_has_an_answer(height, width, channels, seed) -> None:
    photo = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)

    found = find(photo)

    assert found.mask.shape == (height, width)
    assert 0 <= found.confidence <= 1
    assert all(0 <= value <= 1 for value in found.colour)


def test_on_photos_it_knows_a_studio_from_a_garden(samples: Path) -> None:
    folder = samples / "samples" / "matting"

    def confidence(name: str) -> float:
        return find(cv2.imread(str(folder / name))[..., ::-1]).confidence

    assert confidence("woman-with-phone.jpg") > 0.8
    for name in ("lemur.png", "osprey.jpg", "retriever.jpg", "penguin.jpg", "lattice-lamp.jpg"):
        assert confidence(name) < 0.5
