"""Where the subject is: by a network, a rough mask or the backdrop; and what was transparent."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd.fit import Fit
from retouchd.fitting import picture_of, place
from retouchd.scaling import unit
from retouchd.subject import (
    Seen,
    Subject,
    from_backdrop,
    from_network,
    from_network_or_backdrop,
    from_rough_mask,
)

HEIGHT, WIDTH = 96, 128
KINDS = [(c, d) for c in (1, 2, 3, 4) for d in (np.uint8, np.uint16)]


def disc(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A soft disc's alpha [H, W] in [0, 1]."""
    rows, columns = np.mgrid[:height, :width]
    radius = 0.3 * min(height, width)
    away = np.hypot(rows - height / 2, columns - width / 2)
    return np.clip((radius - away) / 2 + 0.5, 0, 1).astype(np.float32)


def photo(channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """A dark disc before a light backdrop; alpha, if any, is opaque."""
    share = disc()[..., None]
    rows = np.mgrid[:HEIGHT, :WIDTH][0][..., None]
    subject = np.array([0.15, 0.3, 0.55]) + 0.1 * np.sin(rows / 5)
    mixed = 0.9 * (1 - share) + subject * share
    colours = mixed.mean(axis=2, keepdims=True) if channels < 3 else mixed
    if channels in (2, 4):
        colours = np.dstack([colours, np.ones((HEIGHT, WIDTH))])
    return np.round(colours * np.iinfo(dtype).max).astype(dtype)


def hole_in_alpha(pixels: np.ndarray) -> np.ndarray:
    """The same, transparent in its left half."""
    cut = pixels.copy()
    cut[:, : WIDTH // 2, -1] = 0
    return cut


def error(subject: Subject) -> float:
    return float(np.abs(unit(subject.alpha) - disc()).mean())


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_a_plain_backdrop_gives_the_subject_away(channels: int, dtype: Any) -> None:
    found = from_backdrop(photo(channels, dtype))
    assert found.alpha.dtype == np.float32
    assert error(found) < 0.01
    assert found.trust > 0.8
    assert found.method.startswith("backdrop, ")


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_a_rough_mask_is_enough_in_every_kind_of_photo(channels: int, dtype: Any) -> None:
    rough = cv2.dilate((disc() > 0.5).astype(np.uint8) * 255, np.ones((5, 5), np.uint8))
    found = from_rough_mask(photo(channels, dtype), rough)
    assert error(found) < 0.012
    assert found.trust == 1


@pytest.mark.parametrize("resize", ["pad", "fit", "squash"])
@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_a_networks_alpha_comes_back_to_its_place(channels: int, dtype: Any, resize: Any) -> None:
    placement = place((HEIGHT, WIDTH), Fit(64, multiple_of=32, resize=resize))
    small = cv2.resize(disc(), (placement.width, placement.height), interpolation=cv2.INTER_AREA)
    alpha = np.full(placement.picture, 0.7, np.float32)  # beside the photo it says nothing
    alpha[placement.slices] = small
    pixels = photo(channels, dtype)
    picture, _ = picture_of(pixels, placement)
    found = from_network(pixels, Seen.of(picture, alpha, placement))
    assert error(found) < 0.01
    assert (found.method, found.trust) == ("network", 1)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_transparent_in_the_photo_stays_so(channels: int, dtype: Any) -> None:
    whole, cut = photo(channels, dtype), hole_in_alpha(photo(channels, dtype))
    rough = (disc() > 0.5).astype(np.uint8) * 255
    placement = place((HEIGHT, WIDTH), Fit(64))
    picture, shown = picture_of(whole, placement)
    seen = Seen.of(picture, shown / np.float32(255), placement)
    ways = [from_backdrop, lambda p: from_rough_mask(p, rough), lambda p: from_network(p, seen)]
    for way in ways:
        alpha = way(cut).alpha
        assert not alpha[:, : WIDTH // 2].any()
        np.testing.assert_allclose(
            alpha[:, WIDTH // 2 :], way(whole).alpha[:, WIDTH // 2 :], atol=1e-6
        )


def seen(pixels: np.ndarray, alpha: np.ndarray) -> Seen:
    """As a network sees the photo that says this alpha [HEIGHT, WIDTH]."""
    placement = place((HEIGHT, WIDTH), Fit(64, multiple_of=8))
    answer, _ = picture_of(np.round(255 * alpha[..., None]).astype(np.uint8), placement)
    picture, _ = picture_of(pixels, placement)
    return Seen.of(picture, answer[..., 0] / np.float32(255), placement)


def second_opinion(pixels: np.ndarray, alpha: np.ndarray) -> Subject:
    return from_network_or_backdrop(pixels, seen(pixels, alpha))


def test_before_a_plain_backdrop_that_is_believed_and_a_network_may_only_doubt_it() -> None:
    truth = disc()
    shifted = np.roll(truth, 4, axis=1)
    elsewhere = np.roll(truth, WIDTH // 3, axis=1)
    veiled = np.clip(truth, 0, 0.6) + 0.3 * (truth > 0)

    for said in (truth, shifted, elsewhere, veiled):
        found = second_opinion(photo(), said)
        assert found.method.startswith("backdrop")
        assert np.abs(unit(found.alpha) - truth).mean() < 0.02
    for much_the_same in (truth, shifted, veiled):
        assert second_opinion(photo(), much_the_same).trust > 0.8
    disputed = second_opinion(photo(), elsewhere)
    assert disputed.trust < 0.5
    assert disputed.notes == ("the network sees another subject than the plain backdrop shows",)


@pytest.mark.parametrize("hole", [True, False])
def test_what_looks_like_the_backdrop_within_a_subject_is_what_the_network_says(hole: bool) -> None:
    """A small gap that the backdrop is seen through, or a label of its colour."""
    wide = 4 * WIDTH, 4 * HEIGHT
    shown, truth = cv2.resize(photo(), wide), cv2.resize(disc(), wide)
    spot = np.s_[2 * HEIGHT - 8 : 2 * HEIGHT + 8, 2 * WIDTH - 8 : 2 * WIDTH + 8]
    shown[spot] = shown[0, 0]
    if hole:
        truth[spot] = 0
    found = unit(from_network_or_backdrop(shown, Seen(shown, truth)).alpha)
    assert found[spot][4:-4, 4:-4].mean() == pytest.approx(0 if hole else 1, abs=0.1)
    assert np.abs(found - truth).mean() < 0.02


def test_before_anything_else_the_network_is_believed() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    clutter = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    truth = disc()

    assert second_opinion(clutter, truth).method == "network"


def test_a_backdrop_that_is_none_is_told_and_not_believed() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    clutter = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    found = from_backdrop(clutter)
    assert found.trust < 0.2
    assert found.notes == ("the backdrop is not plain, so that the subject can't be told from it",)


@pytest.mark.timeout(60)  # dozens of systems of equations, maybe on a busy machine
@settings(max_examples=25)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    channels=st.integers(1, 4),
    deep=st.booleans(),
    seed=st.integers(0, 99),
    flat=st.booleans(),
)
def test_no_photo_is_too_small_or_too_plain_for_an_answer(
    height: int, width: int, channels: int, deep: bool, seed: int, flat: bool
) -> None:
    rng = np.random.default_rng(seed)
    dtype = np.uint16 if deep else np.uint8
    pixels = rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype)
    if flat:
        pixels[...] = pixels[0, 0]
    mask = (rng.random((height, width)) < rng.random()).astype(np.uint8) * 255
    mask[0, 0] = 255
    placement = place((height, width), Fit(32, multiple_of=8))
    alpha = rng.random(placement.picture, np.float32)
    said = Seen.of(picture_of(pixels, placement)[0], alpha, placement)
    for found in (
        from_backdrop(pixels),
        from_rough_mask(pixels, mask),
        from_network(pixels, said),
        from_network_or_backdrop(pixels, said),
    ):
        whole = unit(found.alpha)
        assert whole.shape == (height, width)
        assert whole.dtype == np.float32
        assert np.isfinite(whole).all()
        assert 0 <= whole.min() <= whole.max() <= 1
        assert 0 <= found.trust <= 1
