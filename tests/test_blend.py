"""From a photo to the engine and back, with nothing changed that was not marked."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retouchd import blend
from retouchd.regions import Box, PlanSettings, Region, plan

SAMPLES = Path(
    os.environ.get("RETOUCHD_SAMPLES") or Path(__file__).parents[2] / "shared" / "data"
).joinpath("samples", "inpaint")
SMALL = PlanSettings(buckets=(16, 24, 32, 48, 64), context=0.75, least_context=8, thin=6)
DTYPES = (np.uint8, np.uint16)


def photo(height, width, channels=3, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def hole_of(shape, boxes):
    hole = np.zeros(shape, np.uint8)
    for top, left, height, width in boxes:
        hole[top : top + height, left : left + width] = 255
    return hole


def constant(region, value=1.0):
    return np.full((*region.size, 3), value, np.float32)


def unscaled(height, width):
    return Region(Box(0, 0, height, width), 1.0, Box(0, 0, height, width))


@st.composite
def cases(draw):
    """A photo of any kind with a hole, and its plan."""
    height, width = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    box = st.tuples(
        st.integers(0, height - 1),
        st.integers(0, width - 1),
        st.integers(1, 90),
        st.integers(1, 90),
    )
    hole = hole_of((height, width), draw(st.lists(box, max_size=4)))
    pixels = photo(height, width, draw(st.integers(1, 4)), draw(st.sampled_from(DTYPES)))
    return pixels, hole, plan(hole, draw(st.sampled_from(["auto", "crop", "whole"])), SMALL)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(["feather", "hard"]), st.integers(0, 12))
def test_nothing_outside_the_hole_changes_and_alpha_never_does(case, mode, feather):
    pixels, hole, regions = case
    before = pixels.copy()
    for region in regions:
        rng = np.random.default_rng(1)
        result = rng.random((*region.size, 3), np.float32) * 1.2 - np.float32(0.1)
        blend.paste(pixels, hole, region, result, blend=mode, feather_px=feather)
    assert np.array_equal(pixels[hole == 0], before[hole == 0])
    if pixels.shape[2] in (2, 4):
        assert np.array_equal(pixels[..., -1], before[..., -1])


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 12))
def test_nor_does_it_where_the_fill_is_fitted_to_its_surroundings(case, feather):
    pixels, hole, regions = case
    before = pixels.copy()
    for region in regions:
        result = np.random.default_rng(1).random((*region.size, 3), np.float32)
        blend.paste(pixels, hole, region, result, feather_px=feather, colour=True, with_grain=True)
    assert np.array_equal(pixels[hole == 0], before[hole == 0])
    if pixels.shape[2] in (2, 4):
        assert np.array_equal(pixels[..., -1], before[..., -1])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_cast_of_the_model_does_not_reach_the_photo(channels, dtype, scale):
    top = np.iinfo(dtype).max
    pixels = np.full((160, 200, channels), top // 3, dtype)
    hole = hole_of((160, 200), [(50, 60, 60, 70), (0, 0, 20, 20)])
    region = Region(Box(0, 0, 160, 200), scale, Box(50, 60, 60, 70))
    result = np.full((*region.size, 3), np.float32(top // 3 / top) + np.float32(7 / 255))
    wanted, matched, hard = pixels.copy(), pixels.copy(), pixels.copy()
    blend.paste(matched, hole, region, result, colour=True)
    blend.paste(hard, hole, region, result, colour=True, blend="hard")
    assert np.abs(matched.astype(int) - wanted).max() < 0.5 * top / 255
    assert np.abs(hard.astype(int) - wanted).max() > 6 * top / 255


@settings(max_examples=100, deadline=None)
@given(cases())
def test_all_regions_together_fill_the_whole_hole(case):
    pixels, hole, regions = case
    pixels //= 2
    for region in regions:
        blend.paste(pixels, hole, region, constant(region), blend="hard")
    colours = pixels[..., : 1 if pixels.shape[2] < 3 else 3]
    assert (colours[hole > 0] == np.iinfo(pixels.dtype).max).all()


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from(["feather", "hard"]))
def test_a_result_that_equals_the_photo_changes_no_bit(case, mode):
    pixels, hole, _ = case
    before = pixels.copy()
    for region in plan(hole, "crop", SMALL):
        image, _ = blend.cut(pixels, hole, region)
        result = image / np.float32(np.iinfo(image.dtype).max)
        blend.paste(pixels, hole, region, result, blend=mode, feather_px=5, colour=True)
    assert np.array_equal(pixels, before)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_what_is_cut_has_the_regions_size_and_masks_every_hole_in_sight(case):
    pixels, hole, regions = case
    for region in regions:
        image, mask = blend.cut(pixels, hole, region)
        assert image.shape == (*region.size, 3)
        assert mask.shape == region.size
        assert image.dtype == pixels.dtype
        assert image.flags.c_contiguous
        assert mask.flags.c_contiguous
        assert set(np.unique(mask).tolist()) <= {0, 255}
        seen = hole[region.box.slices]
        if region.scale == 1.0:
            assert np.array_equal(mask, seen)
        for y, x in np.argwhere(seen)[::17]:
            row, column = y * mask.shape[0] // seen.shape[0], x * mask.shape[1] // seen.shape[1]
            assert mask[row, column] == 255


@settings(max_examples=60, deadline=None)
@given(cases())
def test_what_is_cut_at_known_pixels_does_not_depend_on_what_is_in_the_hole(case):
    pixels, hole, regions = case
    other = pixels.copy()
    other[hole > 0] = ~other[hole > 0]
    for region in regions:
        image, mask = blend.cut(pixels, hole, region)
        assert np.array_equal(image[mask == 0], blend.cut(other, hole, region)[0][mask == 0])


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_is_repeated_for_the_engine(channels):
    pixels = photo(20, 30, channels)
    image, _ = blend.cut(pixels, np.zeros((20, 30), np.uint8), unscaled(20, 30))
    assert np.array_equal(image, np.repeat(pixels[..., :1], 3, axis=2))


def test_a_cut_is_a_copy():
    pixels, hole = photo(20, 30), np.zeros((20, 30), np.uint8)
    image, mask = blend.cut(pixels, hole, unscaled(20, 30))
    image[:], mask[:] = 0, 9
    assert pixels.any()
    assert not hole.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_rounded_to_the_nearest_and_clipped(dtype):
    top = np.iinfo(dtype).max
    wanted = np.array([-0.2, 0.4 / top, 0.6 / top, 1 - 0.4 / top, 1.7], np.float32)
    pixels, hole = np.full((1, 5, 3), 9, dtype), np.full((1, 5), 255, np.uint8)
    result = np.repeat(wanted[None, :, None], 3, axis=2)
    blend.paste(pixels, hole, unscaled(1, 5), result, blend="hard")
    assert pixels[0, :, 0].tolist() == [0, 0, 1, top, top]


def test_grey_photos_get_the_luma_of_the_result():
    pixels, hole = photo(1, 3, 2), np.full((1, 3), 255, np.uint8)
    alpha = pixels[..., 1].copy()
    result = np.eye(3, dtype=np.float32)[None]
    blend.paste(pixels, hole, unscaled(1, 3), result, blend="hard")
    assert pixels[0, :, 0].tolist() == [76, 150, 29]
    assert np.array_equal(pixels[..., 1], alpha)


def test_the_feather_rises_from_the_known_pixel_to_its_full_width():
    pixels = np.zeros((1, 16, 3), np.uint16)
    hole = hole_of((1, 16), [(0, 4, 1, 12)])
    blend.paste(pixels, hole, unscaled(1, 16), constant(unscaled(1, 16)), feather_px=4)
    weights = np.round(pixels[0, :, 0] / 65535 * 4).tolist()
    assert weights == [0] * 4 + [1, 2, 3, 4] + [4] * 8


def test_the_photos_border_is_no_edge_to_feather():
    pixels, hole = np.zeros((30, 30, 3), np.uint8), np.full((30, 30), 255, np.uint8)
    blend.paste(pixels, hole, unscaled(30, 30), constant(unscaled(30, 30)), feather_px=9)
    assert (pixels == 255).all()


def test_the_border_between_two_regions_of_one_hole_is_no_edge_to_feather():
    hole = np.full((40, 40), 255, np.uint8)
    pixels = np.zeros((40, 40, 3), np.uint8)
    for left in (0, 20):
        region = Region(Box(0, 0, 40, 40), 1.0, Box(0, left, 40, 20))
        blend.paste(pixels, hole, region, constant(region), feather_px=9)
    assert (pixels == 255).all()


def test_hard_blending_has_no_ramp():
    pixels, hole = np.zeros((9, 9, 3), np.uint8), hole_of((9, 9), [(3, 3, 3, 3)])
    blend.paste(pixels, hole, unscaled(9, 9), constant(unscaled(9, 9)), blend="hard", feather_px=9)
    assert np.array_equal(pixels[..., 0], hole)


def test_only_the_core_of_a_region_is_written():
    hole = hole_of((40, 80), [(5, 5, 10, 10), (5, 60, 10, 10)])
    pixels = np.zeros((40, 80, 3), np.uint8)
    region = Region(Box(0, 0, 40, 80), 1.0, Box(5, 5, 10, 10))
    blend.paste(pixels, hole, region, constant(region), blend="hard")
    assert np.count_nonzero(pixels[..., 0]) == 100
    assert not pixels[:, 40:].any()


@pytest.mark.parametrize("strip", [1, 700, 1 << 20])
def test_a_reduced_result_comes_back_as_one_cubic_enlargement(strip, monkeypatch):
    monkeypatch.setattr(blend, "_STRIP", strip)
    hole = hole_of((300, 260), [(50, 40, 190, 170)])
    (region,) = plan(hole, "resize", SMALL)
    assert region.scale < 1
    result = np.random.default_rng(2).random((*region.size, 3), np.float32)
    pixels = photo(300, 260, 3, np.uint16)
    blend.paste(pixels, hole, region, result, blend="hard")
    size = (region.box.width, region.box.height)
    large = cv2.resize(result, size, interpolation=cv2.INTER_CUBIC).clip(0, 1) * 65535
    expected = large[hole[region.box.slices] > 0]
    assert np.abs(pixels[hole > 0] - expected).max() <= 1.5


def test_strips_make_no_difference(monkeypatch):
    hole = hole_of((90, 120), [(10, 10, 60, 80), (75, 100, 10, 10)])
    outputs, errors = [], []
    for strip in (1, 1500, 1 << 20):
        monkeypatch.setattr(blend, "_STRIP", strip)
        pixels = photo(90, 120)
        for region in plan(hole):
            blend.paste(pixels, hole, region, constant(region, 0.3), feather_px=6, colour=True)
        outputs.append(pixels)
        errors.append(blend.seam_error(pixels, hole))
    assert np.array_equal(outputs[0], outputs[1])
    assert np.array_equal(outputs[0], outputs[2])
    assert errors == pytest.approx([errors[0]] * 3)


def test_a_result_of_another_size_is_refused():
    region = unscaled(9, 9)
    with pytest.raises(ValueError, match="can't be pasted"):
        blend.paste(photo(9, 9), hole_of((9, 9), []), region, np.zeros((9, 8, 3), np.float32))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 29), st.integers(0, 39), st.integers(0, 3), st.sampled_from(DTYPES))
def test_one_changed_value_is_noticed_exactly_if_it_lies_outside(y, x, channel, dtype):
    first = photo(30, 40, 4, dtype)
    second = first.copy()
    second[y, x, channel] ^= 1
    hole = hole_of((30, 40), [(5, 5, 15, 20)])
    assert blend.same_outside(first, first.copy(), hole)
    assert blend.same_outside(first, second, hole) == bool(hole[y, x])


def test_photos_of_another_shape_or_depth_are_not_the_same():
    first, hole = photo(9, 9), np.full((9, 9), 255, np.uint8)
    assert not blend.same_outside(first, photo(9, 9, 4), hole)
    assert not blend.same_outside(first, first.astype(np.uint16), hole)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_seam_error_tells_a_visible_patch_from_an_invisible_one(dtype):
    unit = np.iinfo(dtype).max // 255
    ramp = (np.indices((80, 80)).sum(axis=0) * unit).astype(dtype)[..., None].repeat(3, axis=2)
    hole = hole_of((80, 80), [(20, 20, 30, 30)])
    patched = ramp.copy()
    patched[hole > 0] += 30 * unit
    assert blend.seam_error(ramp, hole) == pytest.approx(1.0)
    assert blend.seam_error(patched, hole) > 10


def test_a_photo_without_an_edge_has_no_seam():
    assert blend.seam_error(photo(9, 9), np.zeros((9, 9), np.uint8)) == 0
    assert blend.seam_error(photo(9, 9), np.full((9, 9), 255, np.uint8)) == 0


def test_the_seam_error_of_a_hole_at_the_border_sees_every_side():
    pixels = np.zeros((40, 40, 3), np.uint8)
    for box in [(0, 10, 10, 10), (30, 10, 10, 10), (10, 0, 10, 10), (10, 30, 10, 10)]:
        hole = hole_of((40, 40), [box])
        patched = pixels.copy()
        patched[hole > 0] = 50
        assert blend.seam_error(patched, hole) == pytest.approx(51.0)


def test_the_cost_of_a_request_counts_image_mask_and_result():
    region = unscaled(10, 20)
    assert blend.request_bytes(region, photo(10, 20, 4)) == 200 * (3 + 1 + 12)
    assert blend.request_bytes(region, photo(10, 20, 1, np.uint16)) == 200 * (6 + 1 + 12)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no sample photos: set RETOUCHD_SAMPLES")
def test_real_photos_survive_the_round_trip_bit_for_bit():
    for path in sorted(SAMPLES.glob("*.jpg"))[::4]:
        pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        mask = cv2.imread(str(path.with_name(f"{path.stem}_mask.png")), cv2.IMREAD_GRAYSCALE)
        hole = np.where(mask > 127, 255, 0).astype(np.uint8)
        output = pixels.copy()
        for region in plan(hole):
            image, _ = blend.cut(pixels, hole, region)
            blend.paste(output, hole, region, 1 - image / np.float32(255))
        assert blend.same_outside(pixels, output, hole), path.name
        assert not np.array_equal(pixels[hole > 0], output[hole > 0]), path.name
