"""How a coarse and a fine answer become one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd import pyramid
from retouchd.pyramid import depth, doubled, halved, halved_hole, merge, trusted


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def texture(height: int, width: int) -> np.ndarray:
    """Mid-grey with stripes of three pixels: nothing but top octave."""
    stripes = 0.5 + 0.3 * np.sin(2 * np.pi * np.arange(width) / 3)
    return np.broadcast_to(stripes[None, :, None], (height, width, 3)).astype(np.float32)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([64, 512, 1024]))
def test_the_depth_is_the_first_that_fits(height: int, width: int, largest: int) -> None:
    halvings = depth((height, width), largest)
    assert -(-max(height, width) // 2**halvings) <= largest
    assert halvings == 0 or -(-max(height, width) // 2 ** (halvings - 1)) > largest


@pytest.mark.parametrize("strip", [1, 300, 1 << 20])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 8), (33, 21)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_coarser_pixel_is_the_mean_of_four(
    size: tuple[int, int], channels: int, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid, "_STRIP", strip)
    image = np.random.default_rng(1).integers(0, 65536, (*size, channels), np.uint16)
    even = np.pad(image, [(0, side % 2) for side in size] + [(0, 0)], mode="edge").astype(float)
    mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    found = halved(image)
    assert found.shape == mean.shape
    assert found.dtype == np.uint16
    assert np.abs(found - mean).max() <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_no_hole_pixel_is_lost_on_the_way_down_and_none_is_made_up(
    height: int, width: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    hole = np.where(chance.random((height, width)) < 0.05, 255, 0).astype(np.uint8)
    coarse = halved_hole(hole)
    wide = coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    assert (wide[hole > 0] == 255).all()
    assert np.count_nonzero(coarse) <= np.count_nonzero(hole)


@given(st.floats(0, 1, width=32), st.integers(1, 40), st.integers(1, 40))
def test_a_constant_stays_constant(value: float, height: int, width: int) -> None:
    flat = np.full((height, width, 3), value, np.float32)
    assert np.abs(doubled(halved(flat), (height, width)) - value).max() < 1e-6
    assert np.abs(merge(flat, flat) - value).max() < 1e-6


@given(st.integers(1, 64), st.integers(1, 64), st.integers(0, 99))
def test_a_fine_level_that_the_coarse_one_agrees_with_is_kept_as_it_is(
    height: int, width: int, seed: int
) -> None:
    fine = noise(height, width, seed)
    coarse = doubled(halved(fine), (height, width))
    assert np.abs(merge(coarse, fine) - fine).max() < 1e-5


def test_texture_comes_from_the_fine_level_although_the_coarse_one_shows_another() -> None:
    """Grass is never the same twice; that is no disagreement."""
    other = 0.5 + 0.2 * (noise(128, 128, 5)[::1] - 0.5)
    merged = merge(doubled(halved(other), (128, 128)), texture(128, 128))
    assert (merged - doubled(halved(merged), (128, 128))).std() > 0.8 * (
        texture(128, 128) - doubled(halved(texture(128, 128)), (128, 128))
    ).std()


def test_structure_comes_from_the_coarse_level() -> None:
    coarse = np.zeros((128, 128, 3), np.float32)
    coarse[:, 40:] = 0.9
    fine = np.zeros((128, 128, 3), np.float32)
    fine[:, 90:] = 0.9
    assert np.abs(merge(coarse, fine) - coarse).max() < 0.01


def test_an_edge_that_only_the_fine_level_knows_leaves_no_ghost() -> None:
    flat = np.full((128, 128, 3), 0.2, np.float32)
    fine = flat.copy()
    fine[:, 64:] = 0.8
    assert np.ptp(merge(flat, fine)[:, :60]) < 0.01
    assert np.ptp(merge(flat, fine)) < 0.02


def test_detail_fades_with_disagreement_and_does_not_stop_at_once() -> None:
    kept = []
    for apart in (0.0, 0.05, 0.1, 0.2, 0.4):
        fine = texture(96, 96)
        merged = merge(np.full((96, 96, 3), 0.5 - apart, np.float32), fine)
        kept.append((merged - merged.mean()).std() / (fine - fine.mean()).std())
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > 0.85
    assert 0.2 < kept[2] / kept[0] < 0.5
    assert kept[4] < 0.01


def test_the_fine_level_is_believed_next_to_known_pixels() -> None:
    hole = np.zeros((80, 80), np.uint8)
    hole[20:, 20:] = 255
    trust = trusted(hole)
    assert (trust[hole == 0] == 1).all()
    assert trust[20, 20:].min() > 0.9
    assert not trust[40:, 40:].any()
    coarse, fine = noise(80, 80, 1), noise(80, 80, 2)
    merged = merge(coarse, fine, trust)
    assert np.array_equal(merged[hole == 0], fine[hole == 0])
    assert np.abs(merged - merge(coarse, fine))[40:, 40:].max() == 0
