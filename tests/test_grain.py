"""A fill gets the grain of its photo: as much as it lacks, of the same look, always the same."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from retouchd import blend
from retouchd.box import Box
from retouchd.grain import missing
from retouchd.regions import Region

SIDE = 360
CORE = Box(100, 110, 160, 140)


def scene(side=SIDE):
    """Smooth light, [side, side, 3] in [0, 1]."""
    y, x = np.mgrid[0:side, 0:side] / side
    light = np.dstack([0.3 + 0.3 * x, 0.35 + 0.25 * y, 0.6 - 0.2 * x])
    return light.astype(np.float32)


def grain_of(light, levels, blur=0.0, shared=0.5, seed=0):
    """Grain [h, w, C] of that many levels of 255, as soft as ``blur``, partly in all channels."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(light.shape)
    common = rng.standard_normal((*light.shape[:2], 1))
    noise = np.sqrt(1 - shared) * white + np.sqrt(shared) * common
    if blur:
        noise = cv2.GaussianBlur(noise, (0, 0), blur).reshape(light.shape)
    return noise * levels / 255 / noise.std()


def developed(light, dtype=np.uint8):
    top = np.iinfo(dtype).max
    return np.round(np.clip(light, 0, 1) * top).astype(dtype)


def hole_in(core, side=SIDE):
    hole = np.zeros((side, side), np.uint8)
    hole[core.slices] = 255
    return hole


def added(photo, light, core=CORE, fill=None):
    """What is added to the fill in the core; zeros if nothing is."""
    fill = light if fill is None else fill
    found = missing(photo, hole_in(core, len(light)), core, lambda part: fill[part.slices])
    if found is None:
        return np.zeros_like(fill[core.slices])
    return found.noise(core, fill[core.slices])


def levels_of(noise):
    return float(noise.std()) * 255


def likeness(noise):
    """How alike neighbours are, and how alike the channels."""
    flat = noise.reshape(-1, noise.shape[-1])
    along = (noise[:, 1:] * noise[:, :-1]).mean() / np.square(noise).mean()
    return along, np.corrcoef(flat.T)[0, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("levels", "blur"), [(1.5, 0), (3, 0.6), (8, 0), (8, 1.0), (2, 1.4)])
def test_the_fill_becomes_as_grainy_as_its_surroundings(dtype, blur, levels):
    light = scene()
    grain = grain_of(light, levels, blur)
    noise = added(developed(light + grain, dtype), light)
    finished = developed(light[CORE.slices] + noise, dtype) / np.iinfo(dtype).max
    got = finished - light[CORE.slices]
    assert levels_of(got) == pytest.approx(levels, rel=0.15)


@pytest.mark.parametrize(("blur", "shared"), [(0, 0), (0.6, 0.95), (1.0, 0.5), (1.4, 0.5)])
def test_the_grain_is_as_coarse_and_as_coloured_as_the_photos(blur, shared):
    light = scene()
    grain = grain_of(light, 3, blur, shared)
    noise = added(developed(light + grain, np.uint16), light)
    assert likeness(noise) == pytest.approx(likeness(grain), abs=0.08)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_photo_without_grain_gets_none(dtype):
    light = scene()
    assert not added(developed(light, dtype), light).any()


def test_a_fill_that_has_its_grain_gets_no_more():
    light = scene()
    photo = developed(light + grain_of(light, 3))
    fill = (light + grain_of(light, 3, seed=1)).astype(np.float32)
    assert levels_of(added(photo, light, fill=fill)) < 1


def test_a_fill_that_has_half_of_it_gets_the_rest():
    light = scene()
    photo = developed(light + grain_of(light, 4, 0.6))
    own = grain_of(light, 2, 0.6, seed=1)
    fill = (light + own).astype(np.float32)
    total = added(photo, light, fill=fill) + own[CORE.slices]
    assert levels_of(total) == pytest.approx(4, rel=0.1)


def test_texture_and_edges_beside_the_hole_are_no_grain():
    light = scene()
    photo = developed(light + grain_of(light, 2))
    rng = np.random.default_rng(5)
    photo[:, :90] = rng.integers(0, 255, (SIDE, 90, 3))
    photo[280:285] = 250
    assert levels_of(added(photo, light)) == pytest.approx(2, rel=0.15)


def test_where_everything_is_lively_nothing_is_taken_for_grain():
    light = scene()
    assert not added(developed(light + grain_of(light, 16)), light).any()
    assert not added(developed(light + grain_of(light, 8, 2.0)), light).any()


def test_clipped_white_does_not_hide_the_grain_and_all_white_has_none():
    light = scene()
    photo = developed(light + grain_of(light, 3))
    photo[:90] = 255
    assert levels_of(added(photo, light)) == pytest.approx(3, rel=0.1)
    assert not added(np.full_like(photo, 255), light).any()


def test_grain_that_grows_with_the_light_does_so_in_the_fill():
    """Photon noise: its power is proportional to the light."""
    y, _ = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    light = np.repeat((0.15 + 0.6 * y)[..., None], 3, axis=2).astype(np.float32)
    grain = grain_of(light, 4) * np.sqrt(light / light.mean())
    noise = added(developed(light + grain, np.uint16), light)
    for rows in (slice(0, 50), slice(110, 160)):
        there = grain[CORE.slices][rows]
        assert levels_of(noise[rows]) == pytest.approx(levels_of(there), rel=0.15)


def test_the_same_photo_gets_the_same_grain_and_another_photo_another():
    light = scene()
    one, other = (developed(light + grain_of(light, 3, seed=seed)) for seed in (0, 1))
    assert np.array_equal(added(one, light), added(one, light))
    apart = np.corrcoef(added(one, light).ravel(), added(other, light).ravel())[0, 1]
    assert abs(apart) < 0.05


def test_a_part_of_the_grain_is_part_of_the_grain():
    light = scene()
    photo = developed(light + grain_of(light, 3))
    found = missing(photo, hole_in(CORE), CORE, lambda part: light[part.slices])
    whole = found.noise(Box(0, 0, 160, 140), light[:160, :140])
    for part in (Box(0, 0, 1, 1), Box(3, 120, 150, 20), Box(127, 100, 30, 40), Box(64, 0, 9, 140)):
        assert found.noise(part, light[part.slices]) == pytest.approx(whole[part.slices], abs=1e-6)


@pytest.mark.parametrize("core", [Box(0, 0, 10, 300), Box(0, 0, SIDE, SIDE), Box(0, 0, 350, 355)])
def test_where_too_little_can_be_seen_nothing_is_added(core):
    light = scene()
    assert not added(developed(light + grain_of(light, 3)), light, core).any()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grain_comes_with_the_fill_into_every_kind_of_photo(channels):
    """Grey gets grey grain; alpha gets none; hard gets none; known pixels are as they were."""
    light = scene()
    colours = light[..., :1] if channels < 3 else light
    photo = developed(colours + grain_of(colours, 3, 0.6, 0.0))
    if channels in (2, 4):
        photo = np.dstack([photo, np.full((SIDE, SIDE), 77, np.uint8)])
    hole, region = hole_in(CORE), Region(Box(0, 0, SIDE, SIDE), 1.0, CORE)
    result = np.repeat(colours, 3, axis=2) if channels < 3 else light
    plain, grainy, hard = photo.copy(), photo.copy(), photo.copy()
    blend.paste(plain, hole, region, result)
    blend.paste(grainy, hole, region, result, with_grain=True)
    blend.paste(hard, hole, region, result, with_grain=True, blend="hard")
    inner = (slice(110, 250), slice(120, 240), slice(0, colours.shape[2]))
    got = grainy[inner] / 255 - colours[inner]
    assert levels_of(got) == pytest.approx(3, rel=0.12)
    assert levels_of(hard[inner] / 255 - colours[inner]) < 0.5
    assert np.array_equal(grainy[hole == 0], photo[hole == 0])
    if channels in (2, 4):
        assert (grainy[..., -1] == 77).all()


def test_a_reduced_result_gets_grain_at_the_photos_resolution():
    light = scene()
    photo = developed(light + grain_of(light, 3))
    hole, region = hole_in(CORE), Region(Box(0, 0, SIDE, SIDE), 0.5, CORE)
    small = cv2.resize(light, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    blend.paste(photo, hole, region, small, with_grain=True)
    inner = (slice(110, 250), slice(120, 240))
    got = photo[inner] / 255 - light[inner]
    assert levels_of(got) == pytest.approx(3, rel=0.12)
    assert abs(likeness(got)[0]) < 0.08
