"""Whether a cut-out's edge runs where its photo shows one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from retouchd.outline import blind_share
from retouchd.triage import triage

SIZE = 240


def disc(radius: int = 70) -> np.ndarray:
    """An alpha [SIZE, SIZE] with a soft edge."""
    hard = np.zeros((SIZE, SIZE), np.float32)
    cv2.circle(hard, (SIZE // 2, SIZE // 2), radius, 1.0, -1)
    return cv2.GaussianBlur(hard, (0, 0), 1.0)


def photo(alpha: np.ndarray, subject: object, ground: object, noise: float = 4.0) -> np.ndarray:
    """[SIZE, SIZE, 3] uint8; colours in levels, each one for all or one per pixel."""
    share = alpha[..., None]
    colours = share * np.asarray(subject, np.float32) + (1 - share) * np.asarray(ground, np.float32)
    colours += np.random.default_rng(0).normal(0, noise, (SIZE, SIZE, 3))
    return colours.clip(0, 255).astype(np.uint8)


RED, GREY = (180, 40, 40), (120, 120, 120)


def half_red() -> np.ndarray:
    """A ground that is red on its left half, and grey on its right."""
    ground = np.empty((SIZE, SIZE, 3), np.float32)
    ground[:, : SIZE // 2], ground[:, SIZE // 2 :] = RED, GREY
    return ground


@pytest.mark.parametrize("noise", [0.0, 4.0, 20.0])
def test_an_edge_between_two_colours_is_seen(noise: float) -> None:
    alpha = disc()
    assert blind_share(photo(alpha, RED, GREY, noise), alpha) == 0


@pytest.mark.parametrize("noise", [0.0, 4.0, 20.0])
def test_an_edge_between_equal_colours_is_not(noise: float) -> None:
    alpha = disc()
    assert blind_share(photo(alpha, RED, RED, noise), alpha) > 0.95


def test_it_is_the_share_of_the_edges_length() -> None:
    alpha = disc()
    assert blind_share(photo(alpha, RED, half_red()), alpha) == pytest.approx(0.5, abs=0.05)


def test_an_edge_that_lies_elsewhere_than_the_photos_is_not_seen() -> None:
    assert blind_share(photo(disc(40), RED, GREY), disc(70)) > 0.95


def test_a_difference_in_the_middle_of_much_noise_is_none() -> None:
    """As gravel before gravel: what differs less than either side by itself is no edge."""
    alpha = disc()
    assert blind_share(photo(alpha, (120, 120, 120), (130, 130, 130), noise=60), alpha) > 0.8


@pytest.mark.parametrize("scale", [0.5, 4])
def test_the_photos_size_hardly_matters(scale: float) -> None:
    alpha = disc()
    shown, size = photo(alpha, RED, half_red()), (round(scale * SIZE),) * 2
    large = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    found = blind_share(large, cv2.resize(alpha, size, interpolation=cv2.INTER_AREA))
    assert found == pytest.approx(0.5, abs=0.1)


def test_grey_16_bit_and_alpha_are_seen_as_well() -> None:
    alpha = disc()
    shown = photo(alpha, RED, half_red())
    expected = blind_share(shown, alpha)
    veiled = np.dstack([shown, np.full((SIZE, SIZE), 255, np.uint8)])
    assert blind_share(veiled, alpha) == expected
    assert blind_share(shown.astype(np.uint16) * 257, alpha) == pytest.approx(expected, abs=0.01)
    grey = cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)[..., None]
    assert blind_share(grey, alpha) == pytest.approx(0.5, abs=0.1)
    assert blind_share(shown, (alpha * 255).round().astype(np.uint8)) == expected


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_without_an_edge_there_is_none_to_doubt(value: float) -> None:
    shown = photo(disc(), RED, GREY)
    assert blind_share(shown, np.full((SIZE, SIZE), value, np.float32)) == 0


def test_a_person_looks_at_what_was_cut_where_nothing_is_seen() -> None:
    alpha = disc()
    clear = triage(alpha, photo(alpha, RED, GREY))
    assert clear == triage(alpha)
    blind = triage(alpha, photo(alpha, RED, half_red()))
    assert blind.confidence < 0.5
    assert "of its edge the subject looks like what is behind it" in blind.reasons[0]
