"""Figures of quality: they agree with their references, and rank fills as people do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from benchmarks.metrics import (
    compare,
    edge_distance,
    luma,
    masked_mean,
    psnr,
    ssim_map,
    texture_distance,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

SIDE = 192


def hole(side=SIDE):
    inside = np.zeros((side, side), bool)
    inside[48:144, 40:150] = True
    return inside


def grass(seed=0, side=SIDE):
    """Fine texture with a direction: blades."""
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    blades = cv2.GaussianBlur(noise, (0, 0), sigmaX=1.0, sigmaY=4.0)
    grey = 110 + 45 * blades / blades.std()
    return np.dstack([grey * 0.8, grey, grey * 0.6]).clip(0, 255).astype(np.uint8)


def filled(truth, fill):
    return np.where(hole()[..., None], fill, truth)


def blurred(picture, sigma):
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def grey(seed, side=64):
    return np.random.default_rng(seed).uniform(0, 255, (side, side)).astype(np.float32)


@pytest.mark.parametrize("sigma", [0, 1, 4])
def test_ssim_is_that_of_scikit_image(sigma):
    truth = luma(grass())
    ours = cv2.GaussianBlur(truth, (0, 0), sigma) if sigma else grey(3, SIDE)
    _, theirs = structural_similarity(
        ours.astype(np.float64),
        truth.astype(np.float64),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    assert np.abs(ssim_map(ours, truth) - theirs).max() < 1e-5


def test_a_hole_over_everything_gives_the_plain_mean():
    values = ssim_map(grey(0), grey(1))
    assert masked_mean(values, np.ones((64, 64), bool)) == pytest.approx(values.mean(), abs=1e-6)


@given(st.integers(0, 40), st.integers(1, 60))
@settings(max_examples=20)
def test_psnr_counts_the_hole_only(level, side):
    truth, inside = grass(), np.zeros((SIDE, SIDE), bool)
    inside[5 : 5 + side, 9 : 9 + side] = True
    off = truth.clip(0, 200) + np.uint8(level) * inside[..., None].astype(np.uint8)
    wanted = 20 * np.log10(255 / level) if level else np.inf
    assert psnr(off, truth.clip(0, 200), inside) == pytest.approx(wanted)


def test_the_truth_is_perfect():
    figures = compare(grass(), grass(), hole())
    assert (figures.psnr, figures.ssim) == (np.inf, pytest.approx(1))
    assert figures.edges == pytest.approx(0, abs=1e-6)
    assert figures.texture == pytest.approx(0, abs=1e-6)


def test_what_lies_far_from_the_hole_changes_nothing():
    truth, fill = grass(), blurred(grass(), 3)
    wide = np.pad(np.ones((SIDE, SIDE), np.uint8), 200)[..., None]
    inside = np.pad(hole(), 200)
    frames = [np.full((SIDE + 400, SIDE + 400, 3), level, np.uint8) for level in (20, 220)]
    found = []
    for frame in frames:
        truth_in, fill_in = frame.copy(), frame.copy()
        truth_in[wide[..., 0] > 0] = truth.reshape(-1, 3)
        fill_in[wide[..., 0] > 0] = filled(truth, fill).reshape(-1, 3)
        found.append(compare(fill_in, truth_in, inside))
    one, other = ((f.psnr, f.ssim, f.edges, f.texture) for f in found)
    assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("distance", [edge_distance, texture_distance])
def test_the_more_blur_the_farther(distance):
    truth = grass()
    found = [
        distance(luma(filled(truth, blurred(truth, sigma))), luma(truth), hole())
        for sigma in (0.5, 1, 2, 4, 8, 16)
    ]
    assert found == sorted(found)
    assert found[0] < found[-1] / 5


def test_other_grass_is_better_than_blurred_grass_though_psnr_says_otherwise():
    truth = grass()
    other = compare(filled(truth, grass(seed=1)), truth, hole())
    blur = compare(filled(truth, blurred(truth, 4)), truth, hole())
    assert other.psnr < blur.psnr
    assert other.texture < 0.6 * blur.texture
    assert other.edges < blur.edges


@pytest.mark.parametrize("flag", [cv2.INPAINT_NS, cv2.INPAINT_TELEA])
def test_other_grass_is_better_than_what_opencv_fills_in(flag):
    truth = grass()
    smear = cv2.inpaint(truth, hole().astype(np.uint8) * 255, 3, flag)
    other = compare(filled(truth, grass(seed=2)), truth, hole())
    assert other.texture < 0.6 * compare(smear, truth, hole()).texture


def test_grass_that_grows_another_way_is_another_texture():
    truth = grass()
    along = texture_distance(luma(filled(truth, grass(1))), luma(truth), hole())
    turned = np.rot90(grass(1)).copy()
    across = texture_distance(luma(filled(truth, turned)), luma(truth), hole())
    assert across > 2 * along


def test_noise_of_the_same_strength_is_no_grass():
    truth = grass()
    noise = np.random.default_rng(5).normal(0, truth.std(axis=(0, 1)), truth.shape)
    noise = (truth.mean(axis=(0, 1)) + noise).clip(0, 255).astype(np.uint8)
    other = texture_distance(luma(filled(truth, grass(1))), luma(truth), hole())
    assert texture_distance(luma(filled(truth, noise)), luma(truth), hole()) > 2 * other


def test_noise_too_weak_to_be_seen_is_hardly_texture():
    flat = np.full((SIDE, SIDE), 128, np.float32)
    noise = np.random.default_rng(0).normal(size=flat.shape).astype(np.float32) * hole()
    weak, strong = (texture_distance(flat + s * noise, flat, hole()) for s in (0.3, 10))
    assert weak < 0.1 * strong


@given(st.integers(1, 9), st.integers(0, 5))
@settings(max_examples=15)
def test_all_figures_exist_for_the_smallest_holes(side, seed):
    truth, inside = grass(side=64), np.zeros((64, 64), bool)
    inside[30 : 30 + side, 30 : 30 + side] = True
    fill = np.random.default_rng(seed).integers(0, 256, truth.shape).astype(np.uint8)
    figures = compare(np.where(inside[..., None], fill, truth), truth, inside)
    assert -1 <= figures.ssim <= 1
    assert 0 <= figures.edges <= 1
    assert 0 <= figures.texture <= 1
    assert np.isfinite(figures.psnr)


def test_an_empty_hole_is_refused():
    with pytest.raises(ValueError, match="empty hole"):
        compare(grass(), grass(), np.zeros((SIDE, SIDE), bool))


def test_photos_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="not one photo"):
        compare(grass()[1:], grass(), hole())
