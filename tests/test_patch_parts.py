"""The parts of ``patchmatch``: levels, the search, seams, and Poisson's equation."""

from __future__ import annotations

import numpy as np
import pytest

from retouchd import patch_closest
from retouchd.patch_closest import closest
from retouchd.patch_level import REACH, SHIFTS, SIDE, PatchLevel, nearest
from retouchd.patch_seams import laid
from retouchd.patch_search import Search
from retouchd.patch_vote import blend, origins
from retouchd.poisson import correction


def level(side=48, hole=(slice(18, 30), slice(16, 30)), seed=0):
    planes = np.random.default_rng(seed).random((4, side, side)).astype(np.float32)
    lost = np.zeros((side, side), np.bool_)
    lost[hole] = True
    return PatchLevel(planes, lost, lost)


def patch(one, middle):
    row, column = divmod(int(middle), one.width)
    return one.planes[:, row - REACH : row + REACH + 1, column - REACH : column + REACH + 1]


def test_targets_touch_the_hole_and_sources_do_not():
    one = level()
    lost = one.hole.astype(np.float32)
    marked = PatchLevel(np.stack([lost] * 4), one.hole, one.unfit)
    assert all(patch(marked, middle).any() for middle in one.targets)
    assert not any(patch(marked, middle).any() for middle in one.sources)
    assert all(patch(one, m).shape == (4, SIDE, SIDE) for m in (*one.targets, *one.sources))
    assert len(one.targets) + len(one.sources) == (48 - 2 * REACH) ** 2


def test_each_pixel_of_a_hole_lies_under_some_target():
    one = level(hole=(slice(0, 9), slice(0, 48)))
    covered = {int(m) + one.step(shift) for m in one.targets for shift in SHIFTS}
    assert set(one.painted.tolist()) <= covered


def test_the_nearest_is_the_nearest():
    wanted = np.zeros((9, 9), np.bool_)
    wanted[1, 2] = wanted[7, 7] = True
    found = nearest(wanted).reshape(9, 9)
    assert found[0, 0] == 1 * 9 + 2
    assert found[8, 8] == 7 * 9 + 7
    assert found[1, 2] == 1 * 9 + 2


def test_the_search_finds_most_of_what_comparing_all_finds():
    one = level()
    half = one.planes[:, :, :24]
    one.planes[:, :, 24:] = half  # so that there is a perfect source for many
    random = np.random.default_rng(0)
    best = closest(one, one.targets, random)
    search = Search(one, random.choice(one.sources, len(one.targets)))
    before = search.cost.sum()
    for _ in range(8):
        search.spread((2, 1))
        search.wander(24, random)
    wanted = Search(one, best).cost.sum()
    assert search.cost.sum() - wanted < 0.25 * (before - wanted)
    assert one.fit[search.match].all()
    assert np.array_equal(search.cost, Search(one, search.match).cost)


@pytest.mark.parametrize("at_once", [7, 1 << 11])
def test_the_closest_source_is_the_one_that_differs_least_where_it_is_known(at_once, monkeypatch):
    monkeypatch.setattr(patch_closest, "_AT_ONCE", at_once)
    one = level(side=24, hole=(slice(9, 14), slice(9, 15)))
    known = ~one.hole
    found = closest(one, one.targets, np.random.default_rng(0), known.ravel())
    seen = np.indices((SIDE, SIDE)).sum(0) % 2 == 0
    for middle, source in zip(one.targets[::11], found[::11], strict=True):
        there = seen & patch(PatchLevel(known[None], known, known), middle)[0]
        apart = [np.square(patch(one, middle) - patch(one, s))[:, there].sum() for s in one.sources]
        assert source == one.sources[np.argmin(apart)]


def test_of_too_many_sources_some_are_looked_at(monkeypatch):
    one = level()
    monkeypatch.setattr(patch_closest, "_ALL", 40 * len(one.targets))
    monkeypatch.setattr(patch_closest, "_SOME", 30 * len(one.targets))
    found = closest(one, one.targets, np.random.default_rng(0))
    assert 1 < len(np.unique(found)) <= 30
    assert one.fit[found].all()


def test_what_was_painted_since_is_compared_anew():
    one = level()
    search = Search(one, np.full(len(one.targets), one.sources[0]))
    one.planes[:, one.hole] = 0.5
    search.compare()
    assert np.array_equal(search.cost, Search(one, search.match).cost)


def test_patches_at_one_side_have_no_say_at_the_other():
    one = level(hole=(slice(10, 30), np.r_[0:5, 43:48]))
    one.planes[:] = np.where(np.indices((48, 48))[0] < 40, 0.25, 0.75)
    left = one.targets % one.width < 24
    dark, light = 35 * one.width + 10, 43 * one.width + 10
    match = np.where(left, dark, light)
    cost = np.zeros(len(match), np.int32)
    blend(one, match, cost)
    assert one.planes[:, 10:30, :5] == pytest.approx(0.25)
    assert one.planes[:, 10:30, 43:] == pytest.approx(0.75)
    rows = origins(one, match, cost) // one.width
    assert ((rows < 40) == (one.painted % one.width < 24)).all()


def test_the_cost_is_the_difference_at_every_other_pixel():
    one = level()
    match = np.full(len(one.targets), one.sources[0])
    seen = np.indices((SIDE, SIDE)).sum(0) % 2 == 0
    ours, theirs = (
        np.floor(patch(one, middle)[:, seen] * 255 + 0.5) for middle in (one.targets[5], match[0])
    )
    assert Search(one, match).cost[5] == np.abs(ours - theirs).sum()


def test_votes_that_agree_give_what_they_agree_on():
    one = level()
    one.planes[:] = np.tile(one.planes[:, :12, :12], (1, 4, 4))
    want = one.planes.copy()
    one.planes[:, one.hole] = 0
    match = one.targets - 12 * one.width  # the same pattern, a period above
    match = np.where(one.fit[match], match, one.targets + 12 * one.width)
    assert one.fit[match].all()
    cost = np.zeros(len(match), np.int32)
    blend(one, match, cost)
    assert one.planes == pytest.approx(want, abs=1e-5)
    picture = laid(one, origins(one, match, cost))
    assert picture == pytest.approx(want[:3].transpose(1, 2, 0), abs=1e-4)


def test_a_pixel_is_copied_from_the_best_patch_over_it():
    one = level()
    match = np.full(len(one.targets), one.sources[0])
    cost = np.full(len(match), 1000, np.int32)
    middle = one.number[24 * one.width + 22]
    match[middle], cost[middle] = one.sources[-1], 0
    origin = dict(zip(one.painted.tolist(), origins(one, match, cost).tolist(), strict=True))
    for shift in ((0, 0), (2, -1), (-3, 3)):
        assert origin[24 * one.width + 22 + one.step(shift)] == one.sources[-1] + one.step(shift)


@pytest.mark.parametrize("side", [33, 64, 129])
def test_a_picture_is_found_from_its_differences(side):
    y, x = np.mgrid[0:side, 0:side] / np.float32(side)
    wave = np.sin(5 * x + 3 * y)[..., None] * np.ones(3, np.float32)
    hole = np.zeros((side, side), np.bool_)
    hole[4:-4, 6:] = True  # up to the picture's border
    right = np.diff(wave, axis=1, append=wave[:, -1:])
    down = np.diff(wave, axis=0, append=wave[-1:])
    known = np.where(hole[..., None], 0, wave)
    right -= np.diff(known, axis=1, append=known[:, -1:])
    down -= np.diff(known, axis=0, append=known[-1:])
    found = known + correction(right.astype(np.float32), down.astype(np.float32), hole)
    assert np.abs(found - wave).max() < 0.02
    assert np.array_equal(found[~hole], known[~hole])
