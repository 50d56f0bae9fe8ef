"""A fit of alpha to colour is believed where a trial at a smaller scale bears it out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd.enlarging import enlarge
from retouchd.guided import Fit, fit
from retouchd.scale_check import believed, grain_of
from retouchd.scaling import resized


def plain_fit(guide: np.ndarray, alpha: np.ndarray) -> Fit:
    return fit(guide, alpha, 1, eps=5e-5)


def trust_in(guide: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return believed(guide, alpha, plain_fit(guide, alpha), grain_of(samples(guide)), plain_fit)


def samples(photo: np.ndarray) -> np.ndarray:
    return (photo * 255 + 0.5).astype(np.uint8)


def disc(size: int, blur: float) -> np.ndarray:
    alpha = np.zeros((size, size), np.float32)
    cv2.circle(alpha, (size // 2, size // 2), size // 3, 1.0, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(alpha, (0, 0), blur) if blur else alpha


def mixed(alpha: np.ndarray, apart: float, grain: float = 0.012) -> np.ndarray:
    """A grey photo whose subject is that much brighter than what is behind it, [H, W, 3]."""
    noise = np.random.default_rng(0).normal(0, grain, (*alpha.shape, 3))
    return (0.5 + apart * (alpha[..., None] - 0.5) + noise).clip(0, 1).astype(np.float32)


def test_where_colours_tell_an_edge_the_fit_is_believed() -> None:
    alpha = disc(96, 0)
    edge = cv2.dilate(alpha, np.ones((3, 3))) > cv2.erode(alpha, np.ones((3, 3)))

    trust = trust_in(mixed(alpha, 0.6), alpha)

    assert np.median(trust[edge]) > 0.9


def test_where_subject_and_background_are_alike_interpolation_is_believed() -> None:
    alpha = disc(96, 6)
    soft = (alpha > 0.1) & (alpha < 0.9)

    trust = trust_in(mixed(alpha, 0.01), alpha)

    assert trust[soft].max() < 0.1


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_belief_is_a_share(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    guide = rng.random((2 * height, 2 * width, 3)).astype(np.float32)
    alpha = rng.choice([0, 0.3, 1], (2 * height, 2 * width)).astype(np.float32)

    trust = trust_in(guide, alpha)

    assert trust.shape == alpha.shape
    assert np.isfinite(trust).all()
    assert trust.min() >= 0
    assert trust.max() <= 1


@pytest.mark.parametrize("apart", [0.0, 0.02, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("blur", [0.0, 2.0, 8.0])
@pytest.mark.parametrize("times", [2, 4, 7])
def test_enlarged_along_edges_is_no_worse_than_bicubic(apart, blur, times) -> None:
    """Whether the colours tell the subject, hardly tell it or do not, in focus or out of it."""
    alpha = disc(384, blur)
    photo = samples(mixed(alpha, apart))
    small = resized(alpha, (384 // times, 384 // times))

    found = enlarge(photo, small)

    bicubic = resized(small, alpha.shape).clip(0, 1)
    assert np.abs(found - alpha).sum() < 1.15 * np.abs(bicubic - alpha).sum()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grain_is_measured_beside_edges(dtype: type) -> None:
    """Stripes and steps are none; grey grain is the same in all colours."""
    rng = np.random.default_rng(0)
    photo = np.full((300, 400, 3), 0.4) + 0.3 * (np.arange(400) // 40 % 2)[None, :, None]
    photo += rng.normal(0, 0.02, (300, 400, 1)) + rng.normal(0, 0.01, photo.shape)

    grain = grain_of((photo * np.iinfo(dtype).max).astype(dtype))

    wanted = 0.02**2 + 0.01**2 * np.eye(3)
    np.testing.assert_allclose(grain, wanted, rtol=0.3)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_of_any_photo_the_grain_is_known(height: int, width: int, channels: int) -> None:
    grain = grain_of(np.full((height, width, channels), 7, np.uint8))
    assert (grain == 0).all()
