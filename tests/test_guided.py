"""The guided filter computes what the paper says, and fills in what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from retouchd.guided import apply, fill, fit


def _guide(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)


def _by_the_book(guide, alpha, radius, eps, weight):
    """Every window's ridge regression of its own, then the mean of those that hold a pixel."""
    height, width = alpha.shape
    found = np.zeros((height, width, 4))
    said = np.zeros((height, width))
    guide, alpha, weight = (x.astype(np.float64) for x in (guide, alpha, weight))
    windows = {}
    for y in range(height):
        for x in range(width):
            part = (
                slice(max(0, y - radius), y + radius + 1),
                slice(max(0, x - radius), x + radius + 1),
            )
            colours, levels = guide[part].reshape(-1, 3), alpha[part].ravel()
            share = weight[part].ravel() / weight[part].sum()
            mean, level = share @ colours, share @ levels
            spread = (colours - mean).T @ ((colours - mean) * share[:, None])
            both = ((colours - mean) * share[:, None]).T @ (levels - level)
            slopes = np.linalg.solve(spread + eps * np.eye(3), both)
            windows[y, x] = part, np.append(slopes, level - slopes @ mean), weight[part].sum()
    for part, line, say in windows.values():
        found[part] += say * line
        said[part] += say
    return found / said[..., None]


@pytest.mark.parametrize("weighted", [False, True])
def test_the_fit_is_that_of_the_paper_up_to_the_borders(weighted: bool) -> None:
    guide = _guide(17, 13)
    rng = np.random.default_rng(1)
    alpha = rng.random((17, 13)).astype(np.float32)
    weight = rng.random((17, 13)).astype(np.float32) + 0.05 if weighted else None

    found = fit(guide, alpha, 2, eps=1e-2, weight=weight)

    book = _by_the_book(guide, alpha, 2, 1e-2, np.ones((17, 13)) if weight is None else weight)
    if weight is None:
        # Without weights each window counts as one, also those that the border cuts.
        inner = (slice(4, -4), slice(4, -4))
        np.testing.assert_allclose(found[inner], book[inner], atol=2e-4)
    else:
        np.testing.assert_allclose(found, book, atol=2e-3)


def test_an_alpha_that_is_linear_in_colour_is_found_exactly() -> None:
    guide = _guide(40, 30)
    alpha = (guide @ np.array([0.5, 0.2, 0.1], np.float32) + 0.1).astype(np.float32)

    found = apply(fit(guide, alpha, 3, eps=1e-5), guide)

    np.testing.assert_allclose(found, alpha, atol=2e-3)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_a_flat_photo_neither_divides_by_zero_nor_changes_a_plain_alpha(level: float) -> None:
    guide = np.full((20, 20, 3), 0.9, np.float32)
    alpha = np.full((20, 20), level, np.float32)

    np.testing.assert_allclose(apply(fit(guide, alpha, 4), guide), alpha, atol=1e-5)


def test_unknown_pixels_take_the_side_that_they_look_like() -> None:
    """The prior is a ramp in the wrong place; the colours know better."""
    guide = np.zeros((60, 60, 3), np.float32)
    guide[:, :34] = (0.9, 0.2, 0.1)
    guide[:, 34:] = (0.1, 0.3, 0.8)
    guide += _guide(60, 60) * 0.02
    trimap = np.full((60, 60), 0.5, np.float32)
    trimap[:, :20], trimap[:, 42:] = 1, 0
    prior = np.broadcast_to(np.linspace(1.4, -0.4, 60), (60, 60)).clip(0, 1).astype(np.float32)

    found = fill(guide, trimap, prior, 16)

    assert found[:, :33].min() > 0.7
    assert found[:, 35:].max() < 0.3
    assert found.dtype == np.float32


def test_known_pixels_stay_exactly_as_they_are() -> None:
    guide = _guide(30, 30)
    trimap = np.random.default_rng(3).choice([0, 0.5, 1], (30, 30)).astype(np.float32)

    found = fill(guide, trimap, np.full((30, 30), 0.5, np.float32), 3)

    known = trimap != 0.5
    np.testing.assert_array_equal(found[known], trimap[known])
    assert found.min() >= 0
    assert found.max() <= 1


def test_where_nothing_is_known_the_prior_remains() -> None:
    guide = np.full((20, 20, 3), 0.5, np.float32)
    prior = np.full((20, 20), 0.25, np.float32)

    found = fill(guide, np.full((20, 20), 0.5, np.float32), prior, 3)

    np.testing.assert_allclose(found, prior, atol=1e-4)
