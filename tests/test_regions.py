"""Which crops the model has to see."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd.components import components, gathered, linked
from retouchd.pyramid import depth
from retouchd.regions import DEFAULTS, Box, PlanSettings, Strategy, plan

SAMPLES = Path(
    os.environ.get("RETOUCHD_SAMPLES") or Path(__file__).parents[2] / "shared" / "data"
).joinpath("samples", "inpaint")
SMALL = PlanSettings(buckets=(16, 24, 32, 48, 64), context=0.75, least_context=8, thin=6)


def hole_of(shape, boxes):
    hole = np.zeros(shape, np.uint8)
    for top, left, height, width in boxes:
        hole[top : top + height, left : left + width] = 255
    return hole


@st.composite
def holes(draw, longest=300, hole=80):
    shape = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    place = st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1))
    size = st.tuples(st.integers(1, hole), st.integers(1, hole))
    speck = st.tuples(st.integers(1, 4), st.integers(1, 4))
    boxes = draw(st.lists(st.tuples(place, st.one_of(size, speck, speck)), max_size=14))
    return hole_of(shape, [(*at, *extent) for at, extent in boxes])


def specks(shape, count, side=20, seed=1):
    rng = np.random.default_rng(seed)
    tops, lefts = (rng.integers(0, n - side, count) for n in shape)
    return hole_of(shape, zip(tops, lefts, [side] * count, [side] * count, strict=True))


def assert_sound(hole, regions):
    """Each hole pixel has one owner; cores lie in their crops, and crops in the photo."""
    owners = np.zeros(hole.shape, np.uint8)
    for region in regions:
        box, core = region.box, region.core
        assert hole[core.slices].any()
        assert 0 <= box.top <= core.top
        assert 0 <= box.left <= core.left
        assert core.top + core.height <= box.top + box.height <= hole.shape[0]
        assert core.left + core.width <= box.left + box.width <= hole.shape[1]
        owners[core.slices] += 1
    assert (owners[hole > 0] == 1).all()


def margins(region, shape):
    """The context on each side that does not end at the photo's border."""
    box, core = region.box, region.core
    sides = (
        (box.top > 0, core.top - box.top),
        (box.left > 0, core.left - box.left),
        (box.top + box.height < shape[0], box.top + box.height - core.top - core.height),
        (box.left + box.width < shape[1], box.left + box.width - core.left - core.width),
    )
    return [room for open_ended, room in sides if open_ended]


@settings(max_examples=200, deadline=None)
@given(holes(), st.sampled_from(get_args(Strategy)))
def test_every_hole_pixel_has_exactly_one_owner(hole, strategy):
    regions = plan(hole, strategy, SMALL)
    assert_sound(hole, regions)
    assert bool(regions) == bool(hole.any())


@settings(max_examples=100, deadline=None)
@given(holes(longest=700, hole=200))
def test_every_hole_pixel_has_exactly_one_owner_with_the_real_buckets(hole):
    assert_sound(hole, plan(hole))


@settings(max_examples=150, deadline=None)
@given(holes())
def test_every_crop_shows_known_context_on_each_side_that_the_photo_has(hole):
    for region in plan(hole, "crop", SMALL):
        assert min(margins(region, hole.shape), default=99) >= SMALL.least_context


@settings(max_examples=150, deadline=None)
@given(holes())
def test_the_sides_of_crops_are_buckets_or_the_photos_own(hole):
    for region in plan(hole, "crop", SMALL):
        for side, photo in zip((region.box.height, region.box.width), hole.shape, strict=True):
            assert side in SMALL.buckets or side == photo or (side > 64 and side % 16 == 0)


@settings(max_examples=150, deadline=None)
@given(holes(), st.sampled_from(["auto", "tile", "resize"]))
def test_nothing_over_the_largest_bucket_is_solved_at_once(hole, strategy):
    for region in plan(hole, strategy, SMALL):
        whole = region.size == hole.shape
        fits = max(region.size) <= SMALL.largest or (whole and region.cost <= 1.5 * 64**2)
        assert fits == region.at_once
        if region.scale < 1:
            assert max(region.size) == SMALL.largest


@settings(max_examples=150, deadline=None)
@given(holes())
def test_strategies_differ_only_in_how_large_crops_are_solved(hole):
    plans = [plan(hole, strategy, SMALL) for strategy in ("auto", "crop", "tile", "resize")]
    cores = [{region.core for region in regions} for regions in plans]
    if all(len(regions) > 1 for regions in plans):
        assert cores == [cores[0]] * 4
        small = [{r for r in regions if r.way == "direct"} for regions in plans]
        assert small[0] <= small[1]
        assert small[0] == small[2] == small[3]


@settings(max_examples=100, deadline=None)
@given(holes())
def test_the_coarsest_level_of_a_pyramid_has_the_sides_of_a_bucket_or_the_photos(hole):
    for region in (r for r in plan(hole, "auto", SMALL) if r.way == "pyramid"):
        sides = (region.box.height, region.box.width)
        twice = 2 ** depth(sides, SMALL.largest)
        for side, photo in zip(sides, hole.shape, strict=True):
            assert side == photo or -(-side // twice) in SMALL.buckets


@settings(max_examples=100, deadline=None)
@given(holes(longest=700, hole=200))
def test_crops_never_cost_more_than_the_whole_photo(hole):
    assert sum(region.cost for region in plan(hole)) <= hole.size


@settings(max_examples=100, deadline=None)
@given(holes(longest=900, hole=120), st.sampled_from(["ud", "lr", "both", "turned"]))
def test_the_plan_does_not_depend_on_the_order_in_which_holes_are_met(hole, change):
    changed = {
        "ud": hole[::-1],
        "lr": hole[:, ::-1],
        "both": hole[::-1, ::-1],
        "turned": hole.T,
    }[change]
    mirrored = plan(np.ascontiguousarray(changed))
    turned = change == "turned"
    sizes = [(r.size[::-1] if turned else r.size) for r in mirrored]
    assert sorted(sizes) == sorted(r.size for r in plan(hole))


@settings(max_examples=100, deadline=None)
@given(holes(longest=700, hole=100))
def test_no_hole_of_another_region_lies_in_the_least_context(hole):
    regions = plan(hole)
    for one in regions:
        for other in (r for r in regions if r is not one):
            down = max(one.core.top, other.core.top) - min(
                one.core.top + one.core.height, other.core.top + other.core.height
            )
            across = max(one.core.left, other.core.left) - min(
                one.core.left + one.core.width, other.core.left + other.core.width
            )
            assert max(down, across) >= DEFAULTS.least_context


def test_an_empty_hole_needs_no_region():
    assert plan(np.zeros((50, 60), np.uint8)) == ()


def test_whole_is_one_region_of_the_full_photo_at_full_resolution():
    hole = hole_of((1500, 2000), [(10, 20, 30, 40), (1400, 1900, 5, 5)])
    (region,) = plan(hole, "whole")
    assert region.box == Box(0, 0, 1500, 2000)
    assert region.core == Box(10, 20, 1395, 1885)
    assert region.size == (1500, 2000)


def test_a_crop_grows_with_its_hole_and_not_with_the_photo():
    sizes = [
        plan(hole_of((side, side), [(side // 2, side // 2, 100, 100)]))[0].size
        for side in (1000, 6000)
    ]
    assert sizes == [(256, 256), (256, 256)]


def test_a_crop_at_the_border_is_pushed_inside_not_shrunk():
    (region,) = plan(hole_of((1000, 1000), [(990, 0, 10, 10)]))
    assert region.box == Box(808, 0, 192, 192)


def test_distant_holes_are_solved_apart_and_near_ones_together():
    apart = plan(hole_of((2000, 2000), [(100, 100, 40, 40), (1500, 1500, 40, 40)]))
    near = plan(hole_of((2000, 2000), [(100, 100, 40, 40), (180, 180, 40, 40)]))
    assert len(apart) == 2
    assert len(near) == 1


def test_holes_out_of_each_others_context_are_joined_where_that_is_cheaper():
    boxes = [(100, 100, 60, 60), (100, 230, 60, 60)]
    (region,) = plan(hole_of((2000, 2000), boxes))
    assert region.size == (192, 320)


def test_a_large_solid_hole_is_solved_as_the_strategy_says():
    hole = hole_of((3000, 4000), [(700, 900, 1200, 1600)])
    found = {s: plan(hole, s) for s in ("auto", "crop", "tile", "resize", "whole")}
    ways = {strategy: region.way for strategy, (region,) in found.items()}
    assert ways == {
        "auto": "pyramid",
        "crop": "direct",
        "tile": "tiles",
        "resize": "reduced",
        "whole": "direct",
    }
    assert {region.core for (region,) in found.values()} == {Box(700, 900, 1200, 1600)}
    assert found["resize"][0].scale < 0.5
    assert found["resize"][0].size[1] == 1024
    assert all(region.scale == 1.0 for s, (region,) in found.items() if s != "resize")


def test_a_model_for_small_crops_gets_small_crops():
    hole = hole_of((3000, 4000), [(700, 900, 400, 500), (2500, 100, 30, 30)])
    small = DEFAULTS.within(512)
    assert small.largest == 512
    assert [region.way for region in plan(hole, "auto")] == ["direct", "direct"]
    assert [region.way for region in plan(hole, "auto", small)] == ["pyramid", "direct"]
    assert DEFAULTS.within(600).largest == 512
    assert DEFAULTS.within(1024) == DEFAULTS
    assert DEFAULTS.within(10).buckets == (128,)


def test_a_hole_that_just_fits_gives_up_context_before_resolution():
    (region,) = plan(hole_of((4000, 4000), [(1500, 1500, 550, 550)]))
    assert (region.scale, region.size) == (1.0, (1024, 1024))


def test_a_hair_across_the_photo_is_solved_in_pieces_at_full_resolution():
    hole = np.zeros((3000, 5000), np.uint8)
    cv2.line(hole, (100, 2900), (4900, 100), 255, 25)
    regions = plan(hole)
    assert_sound(hole, regions)
    assert len(regions) > 4
    assert all(region.way == "direct" for region in regions)
    assert sum(region.cost for region in regions) < 0.4 * hole.size


def test_a_solid_hole_among_specks_does_not_blur_them_all():
    hole = specks((3000, 4000), 2500, side=8)
    cv2.circle(hole, (2000, 1500), 600, 255, -1)
    regions = plan(hole)
    assert_sound(hole, regions)
    large = sum(r.core.height * r.core.width for r in regions if r.way == "pyramid")
    assert 0 < large < 0.35 * hole.size


def test_a_frame_around_the_photo_is_no_solid_hole():
    hole = np.full((2000, 3000), 255, np.uint8)
    hole[30:-30, 30:-30] = 0
    regions = plan(hole)
    assert_sound(hole, regions)
    assert all(region.way == "direct" for region in regions)


def test_five_thousand_specks_on_a_scan_are_planned_in_a_moment():
    hole = specks((4000, 6000), 5000)
    start = time.process_time()
    regions = plan(hole)
    assert time.process_time() - start < 2.0
    assert_sound(hole, regions)
    assert all(region.way == "direct" for region in regions)
    assert sum(region.cost for region in regions) < 1.6 * hole.size


def test_a_hundred_thousand_single_pixels_are_planned_in_a_moment():
    hole = specks((2000, 4000), 100_000, side=1)
    start = time.process_time()
    assert_sound(hole, plan(hole))
    assert time.process_time() - start < 3.0


def test_an_unknown_strategy_is_an_error():
    with pytest.raises(ValueError, match="tiles"):
        plan(hole_of((50, 50), [(1, 1, 2, 2)]), "tiles")


@pytest.mark.parametrize("share", [0.05, 0.35, 0.42, 0.6])
def test_components_found_in_strips_are_those_found_at_once(share):
    rng = np.random.default_rng(7)
    hole = np.where(rng.random((1300, 90)) < share, 255, 0).astype(np.uint8)
    boxes, counts = components(hole)
    stats = cv2.connectedComponentsWithStats(hole, connectivity=8)[2][1:]
    left, top, width, height, area = stats.T
    expected = np.stack([top, left, top + height, left + width, area], axis=1)
    found = np.column_stack([boxes, counts])
    assert sorted(found.tolist()) == sorted(expected.tolist())


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40),
        )
    )
)
def test_links_join_exactly_what_a_chain_connects(case):
    count, pairs = case
    groups = [{i} for i in range(count)]
    for a, b in pairs:
        one, other = (next(g for g in groups if i in g) for i in (a, b))
        if one is not other:
            groups.remove(other)
            one |= other
    label = linked(count, np.array(pairs, np.int64).reshape(-1, 2))
    assert {frozenset(np.flatnonzero(label == k).tolist()) for k in set(label.tolist())} == {
        frozenset(group) for group in groups
    }


def test_gathering_links_only_what_is_nearer_than_two_cells():
    boxes = np.array([[0, 0, 5, 5], [0, 60, 5, 65], [0, 140, 5, 145]])
    labels = gathered(boxes, 32)
    assert labels[0] == labels[1] != labels[2]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no sample photos: set RETOUCHD_SAMPLES")
def test_real_masks_are_planned_soundly():
    for path in sorted(SAMPLES.glob("*_mask.png")):
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        hole = cv2.dilate((grey > 127).astype(np.uint8) * 255, np.ones((21, 21), np.uint8))
        regions = plan(hole)
        assert_sound(hole, regions)
        assert 1 <= len(regions) <= 40, path.name
        assert sum(r.cost for r in regions) <= 1.75 * hole.size, path.name
