"""How a hole that is too large for one look is divided into overlapping tiles."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd.box import Box
from retouchd.clusters import PlanSettings
from retouchd.tiles import MOST_IN_A_WAVE, Layout, Tile, layout, margin, overlap

SMALL = PlanSettings(buckets=(16, 24, 32, 48, 64), context=0.75, least_context=8, thin=6)
FULL = PlanSettings()


def hole_of(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    hole = np.zeros(shape, np.uint8)
    for top, left, height, width in boxes:
        hole[top : top + height, left : left + width] = 255
    return hole


def bounds(hole: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    size = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return Box(int(rows[0]), int(columns[0]), int(size[0]), int(size[1]))


@st.composite
def holes(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(1, 260)), draw(st.integers(1, 260))
    box = st.tuples(
        st.integers(0, height - 1),
        st.integers(0, width - 1),
        st.integers(1, 220),
        st.integers(1, 220),
    )
    return hole_of((height, width), *draw(st.lists(box, min_size=1, max_size=4)))


def planned(hole: np.ndarray) -> Layout:
    return layout(hole, bounds(hole), SMALL)


def inside(inner: Box, outer: Box) -> bool:
    return inner.common(outer) == inner


def shares(plan: Layout, shape: tuple[int, int]) -> dict[Tile, np.ndarray]:
    """What each tile's answer counts for in the end, blended one after the other."""
    final = {tile: np.zeros(shape) for tile in plan.tiles}
    for tile in plan.tiles:
        weight = plan.weights(tile)
        for earlier in final.values():
            earlier[tile.reach.slices] *= 1 - weight
        final[tile][tile.reach.slices] = weight
    return final


@given(holes())
def test_the_weights_of_all_answers_sum_to_one_on_every_hole_pixel(hole: np.ndarray) -> None:
    plan = planned(hole)
    total = sum(shares(plan, hole.shape).values(), np.zeros(hole.shape))
    assert np.abs(total[hole > 0] - 1).max() < 1e-5


@given(holes())
def test_every_hole_pixel_is_in_the_core_of_exactly_one_tile(hole: np.ndarray) -> None:
    owners = np.zeros(hole.shape, np.uint8)
    for tile in planned(hole).tiles:
        assert hole[tile.core.slices].any()
        owners[tile.core.slices] += 1
    assert (owners[hole > 0] == 1).all()
    assert owners.max() <= 1


@given(holes())
def test_a_tile_sees_what_it_makes_up_and_is_within_the_largest_bucket(hole: np.ndarray) -> None:
    photo = Box(0, 0, *hole.shape)
    sizes = set()
    for tile in planned(hole).tiles:
        assert inside(tile.core, tile.reach)
        assert inside(tile.reach, tile.crop)
        assert inside(tile.crop, photo)
        assert max(tile.crop.height, tile.crop.width) <= SMALL.largest
        sizes.add((tile.crop.height, tile.crop.width))
    assert len(sizes) == 1, "one size, so that they batch together"


@given(holes())
def test_a_tile_sees_context_on_every_side_that_the_photo_has(hole: np.ndarray) -> None:
    photo = Box(0, 0, *hole.shape)
    for tile in planned(hole).tiles:
        assert inside(tile.core.grown(margin(SMALL.largest), photo), tile.crop)


@given(holes())
def test_tiles_of_one_wave_touch_nothing_of_each_other(hole: np.ndarray) -> None:
    """So it does not matter in which order they are solved and blended."""
    for wave in planned(hole).waves:
        assert len(wave) <= MOST_IN_A_WAVE
        for one, other in combinations(wave, 2):
            both = one.reach.common(other.reach)
            assert not both.height or not both.width


@given(holes())
def test_no_answer_ends_abruptly_where_another_tile_goes_on(hole: np.ndarray) -> None:
    """A step between two neighbouring weights is what can be seen as a seam."""
    for share in shares(planned(hole), hole.shape).values():
        for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            both = (hole[one] > 0) & (hole[other] > 0)
            step = np.abs(share[one] - share[other])[both]
            assert step.max(initial=0) <= 2.0 / (2 * overlap(SMALL.largest))


@settings(max_examples=50)
@given(holes(), st.integers(0, 40), st.integers(0, 40))
def test_the_layout_moves_with_the_hole(hole: np.ndarray, down: int, right: int) -> None:
    """Far from the photo's borders nothing depends on where it lies."""
    wide = np.pad(hole, 80)
    moved = np.roll(wide, (down, right), (0, 1))
    moved[:down], moved[:, :right] = 0, 0
    expected = [
        Box(t.core.top + down, t.core.left + right, t.core.height, t.core.width)
        for t in planned(wide).tiles
        if t.crop.end[0] + down <= wide.shape[0] and t.crop.end[1] + right <= wide.shape[1]
    ]
    if np.count_nonzero(moved) == np.count_nonzero(hole):
        assert {t.core for t in planned(moved).tiles} >= set(expected)


def test_the_first_wave_is_where_the_photo_is_known_and_the_last_is_the_middle() -> None:
    hole = hole_of((4000, 4000), (400, 400, 3200, 3200))
    tiles = layout(hole, bounds(hole), FULL).tiles
    ends = [4000 - end for tile in tiles for end in tile.core.end]
    starts = [start for tile in tiles for start in (tile.core.top, tile.core.left)]
    nearest = np.minimum(starts, ends).reshape(-1, 2).min(axis=1)
    rings = np.round((nearest - 400) / 457).astype(int).tolist()
    assert rings == [0] * 24 + [1] * 16 + [2] * 8 + [3]


def test_a_hole_at_the_photos_border_is_not_begun_there() -> None:
    hole = hole_of((2000, 4000), (0, 0, 2000, 3500))
    first = next(layout(hole, bounds(hole), FULL).waves)
    assert {tile.core.end[1] for tile in first} == {3500}


def test_a_photo_that_is_all_hole_is_still_solved() -> None:
    hole = np.full((300, 200), 255, np.uint8)
    plan = planned(hole)
    assert len(plan.tiles) == 10 * 7


def test_what_lies_between_two_holes_costs_nothing() -> None:
    apart = hole_of((200, 3000), (20, 0, 100, 100), (20, 2900, 100, 100))
    assert len(planned(apart).tiles) <= 2 * 4 * 4


@pytest.mark.parametrize("side", [1500, 3000, 4500])
def test_the_cost_grows_with_the_area_of_the_hole(side: int) -> None:
    """Pixels that the model sees per pixel of the hole, whatever its size."""
    hole = hole_of((side + 800, side + 800), (400, 400, side, side))
    cost = sum(t.crop.height * t.crop.width for t in layout(hole, bounds(hole), FULL).tiles)
    assert 3.5 < cost / side**2 < 5.0
