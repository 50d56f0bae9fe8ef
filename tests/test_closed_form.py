"""Closed-form matting: the Laplacian of the paper, solved fast, and honest when it fails."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.sparse import csr_array

from retouchd.closed_form import Effort, slope, solve
from retouchd.laplacian import matting_system
from retouchd.multigrid import Multigrid
from retouchd.trimap import from_mask, half_width, prior_from


def _by_the_book(image, eps):
    """The whole matting Laplacian, window by window, as the paper writes it."""
    height, width = image.shape[:2]
    full = np.zeros((height * width, height * width))
    index = np.arange(height * width).reshape(height, width)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            pixels = index[y - 1 : y + 2, x - 1 : x + 2].ravel()
            colours = image.reshape(-1, 3)[pixels].astype(np.float64)
            apart = colours - colours.mean(0)
            inverse = np.linalg.inv(apart.T @ apart / 9 + eps / 9 * np.eye(3))
            full[np.ix_(pixels, pixels)] += np.eye(9) - (1 + apart @ inverse @ apart.T) / 9
    return full


def _scene(height=90, width=110, softness=2.5):
    """A disc with a soft edge over a striped background: photo and alpha."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    apart = np.hypot(y - height / 2, x - width / 2) - height / 3.2
    alpha = (0.5 - apart / (2 * softness)).clip(0, 1).astype(np.float32)
    front = np.array([0.85, 0.55, 0.2]) * (0.8 + 0.2 * np.sin(x / 9)[..., None])
    back = np.array([0.15, 0.35, 0.6]) * (0.8 + 0.2 * np.cos(y / 7)[..., None])
    photo = alpha[..., None] * front + (1 - alpha[..., None]) * back
    return (photo * 255 + rng.normal(0, 1, photo.shape)).clip(0, 255).astype(np.uint8), alpha


def _trimap(alpha, reach=8):
    subject = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((alpha <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    trimap = np.full(alpha.shape, 0.5, np.float32)
    trimap[subject > reach], trimap[outside > reach] = 1, 0
    return trimap


@pytest.mark.parametrize("seed", range(3))
def test_the_equations_are_the_papers_at_the_borders_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random((9, 12, 3)).astype(np.float32)
    trimap = rng.choice([0, 0.5, 1], (9, 12), p=[0.2, 0.6, 0.2]).astype(np.float32)
    full, unknown = _by_the_book(image, 1e-4), trimap.ravel() == 0.5

    system = matting_system(image, trimap, eps=1e-4)

    np.testing.assert_allclose(system.matrix.toarray(), full[np.ix_(unknown, unknown)], atol=1e-10)
    right = -full[np.ix_(unknown, ~unknown)] @ trimap.ravel()[~unknown]
    np.testing.assert_allclose(system.right, right, atol=1e-10)
    assert (trimap[system.rows, system.columns] == 0.5).all()


def test_multigrid_is_symmetric_and_positive_as_conjugate_gradients_need_it() -> None:
    photo, alpha = _scene(40, 40)
    system = matting_system(photo.astype(np.float32) / 255, _trimap(alpha, 3))
    count = len(system.right)
    matrix = csr_array(system.matrix + 1e-3 * csr_array(np.eye(count)))

    inverse = Multigrid(matrix, system.rows, system.columns)
    dense = np.column_stack([inverse(column) for column in np.eye(count)])

    assert count > 300
    np.testing.assert_allclose(dense, dense.T, rtol=1e-2, atol=1e-3 * np.abs(dense).max())
    # Cholesky's factors exist only then.
    assert np.isfinite(np.linalg.cholesky((dense + dense.T) / 2)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_soft_edge_is_found(dtype: type) -> None:
    photo, alpha = _scene()
    trimap = _trimap(alpha)

    found = solve(photo.astype(dtype) * (257 if dtype == np.uint16 else 1), trimap)

    assert found.method == "closed-form"
    assert found.notes == ()
    assert found.residual <= 1e-3
    unknown = trimap == 0.5
    assert np.abs(found.alpha - alpha)[unknown].mean() < 0.03
    assert np.abs(slope(trimap) - alpha)[unknown].mean() > 0.1
    np.testing.assert_array_equal(found.alpha[~unknown], trimap[~unknown])


def test_a_large_photo_is_solved_small_and_enlarged_with_its_edges() -> None:
    photo, alpha = _scene(360, 440, softness=4)
    trimap = _trimap(alpha, 24)

    found = solve(photo, trimap, effort=Effort(pixels=14_000))

    assert found.scale < 0.5
    assert found.method == "closed-form"
    assert np.abs(found.alpha - alpha)[trimap == 0.5].mean() < 0.03
    assert (found.alpha[trimap == 1] == 1).all()
    assert (found.alpha[trimap == 0] == 0).all()


def test_only_the_region_around_what_is_unknown_is_worked_on() -> None:
    photo, alpha = _scene()
    large = np.zeros((900, 1100, 3), np.uint8)
    large[300:390, 400:510] = photo
    trimap = np.zeros((900, 1100), np.float32)
    trimap[300:390, 400:510] = _trimap(alpha)

    found = solve(large, trimap, effort=Effort(pixels=12_000))

    assert found.scale == 1


def test_more_unknown_pixels_than_allowed_are_solved_smaller() -> None:
    photo, alpha = _scene()

    assert solve(photo, _trimap(alpha), effort=Effort(unknowns=500)).scale < 0.6


def test_what_does_not_converge_falls_back_to_the_guided_filter_and_says_so() -> None:
    photo, alpha = _scene()
    trimap = _trimap(alpha)

    found = solve(photo, trimap, effort=Effort(steps=1, tolerance=1e-9))

    assert found.method == "guided"
    assert "did not converge" in found.notes[0]
    assert np.abs(found.alpha - alpha)[trimap == 0.5].mean() < 0.15


def test_without_anything_certain_the_prior_decides_and_the_result_says_so() -> None:
    photo, alpha = _scene()

    found = solve(photo, np.full(alpha.shape, 0.5, np.float32), alpha)

    assert found.method == "guided"
    assert "nothing in the trimap is certain" in found.notes[0]
    assert np.abs(found.alpha - alpha).mean() < 0.1


def test_nothing_unknown_is_nothing_to_solve() -> None:
    photo, alpha = _scene()
    trimap = np.round(alpha)

    found = solve(photo, trimap)

    assert found.method == "known"
    np.testing.assert_array_equal(found.alpha, trimap)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 9), (3, 3), (5, 200)])
def test_slivers_and_greys_are_no_trouble(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 1), np.uint8)
    trimap = np.full(size, 0.5, np.float32)
    trimap[:, : size[1] // 3] = 1

    found = solve(photo, trimap)

    assert found.alpha.shape == size
    assert np.isfinite(found.alpha).all()


def test_a_flat_photo_has_no_edges_to_find_but_an_answer() -> None:
    """Burnt-out white: every window is singular, and the prior is all there is."""
    trimap = np.full((60, 60), 0.5, np.float32)
    trimap[:, :20], trimap[:, 40:] = 1, 0
    prior = np.broadcast_to(np.linspace(1.5, -0.5, 60), (60, 60)).clip(0, 1).astype(np.float32)

    found = solve(np.full((60, 60, 3), 255, np.uint8), trimap, prior)

    assert found.method == "closed-form"
    assert (np.diff(found.alpha, axis=1) <= 1e-3).all()


@pytest.mark.parametrize("name", ["lemur.png", "retriever.jpg", "penguin.jpg"])
def test_on_photos_a_rough_mask_becomes_nearly_twice_as_exact(samples: Path, name: str) -> None:
    """A mask as a hurried person draws it: too smooth, and off by some pixels here and there."""
    folder = samples / "samples"
    photo = cv2.imread(str(folder / "matting" / name))[..., ::-1]
    truth = cv2.imread(str(folder / "matting_alpha" / name.replace("jpg", "png")), 0)
    alpha = truth.astype(np.float32) / 255
    blurred = cv2.GaussianBlur((alpha > 0.5).astype(np.float32), (0, 0), 5)
    noise = cv2.GaussianBlur(
        np.random.default_rng(1).normal(size=alpha.shape).astype(np.float32), (0, 0), 12
    )
    rough = ((blurred + 0.18 * noise / noise.std() > 0.5) * 255).astype(np.uint8)

    found = solve(photo, from_mask(rough), prior_from(rough, half_width(rough)))

    assert found.method == "closed-form"
    assert np.abs(found.alpha - alpha).sum() < 0.65 * np.abs(rough / 255 - alpha).sum()
