"""What leads the choice of patches, and what comes of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from retouchd import patch_guide, patchmatch
from retouchd.patch_guide import PatchGuide, guides
from retouchd.patch_level import PatchLevel, words


def levels(count, side=64):
    """Sizes of one picture, grey with a dark quarter; the hole is in the grey."""
    found = []
    for number in range(count):
        edge = side >> number
        planes = np.full((4, edge, edge), 0.5, np.float32)
        planes[:3, edge // 2 :, edge // 2 :] = 0.1
        planes[3] = 0.01
        hole = np.zeros((edge, edge), np.bool_)
        hole[edge // 8 : edge * 3 // 8, edge // 8 : edge * 3 // 8] = True
        planes[:, hole] = 0.9  # what was under the mask
        found.append(PatchLevel(planes, hole, hole))
    return found


def test_a_mean_within_the_bounds_is_not_off_and_any_other_by_what_it_is_beyond_them():
    pixels = np.array([[10, 20, 30, 40], [12, 20, 25, 40], [9, 26, 30, 50]], np.float32)
    low = np.array([[10, 20, 26, 30]] * 3, np.float32)
    high = np.array([[11, 24, 30, 44]] * 3, np.float32)
    guide = PatchGuide(*(words(part.T / 255) for part in (pixels, low, high)))
    off = guide.off(np.zeros(3, np.int64), np.arange(3))
    assert off.tolist() == [0, (1 + 1) * 8, (1 + 2 + 6) * 8]


@pytest.mark.parametrize(
    ("count", "led"), [(1, [0]), (2, [1]), (3, [1, 2]), (4, [1, 2, 3]), (5, [2, 3, 4])]
)
def test_coarse_sizes_are_led_and_the_full_one_only_where_it_is_all(count, led):
    found = guides(levels(count, 128))
    assert [number for number, guide in enumerate(found) if guide] == led


def test_a_hole_should_look_like_what_is_around_it_not_like_what_was_in_it():
    one = levels(1)[0]
    (guide,) = guides([one])
    middle = np.array([one.painted[len(one.painted) // 2 + 8]])
    grey, dark = np.array([5 * one.width + 40]), np.array([50 * one.width + 50])
    assert guide.off(middle, grey) == 0
    assert guide.off(middle, dark) > 8 * 3 * 90


def test_where_there_is_texture_colours_may_differ_more():
    plain, rough = levels(1)[0], levels(1)[0]
    rough.planes[3] = 0.1
    darker = np.array([50 * plain.width + 50])
    off = [guides([one])[0].off(one.painted[:1], darker)[0] for one in (plain, rough)]
    assert off[0] - off[1] == pytest.approx(8 * 3 * 255 * 0.09, rel=0.1)


def test_the_levels_are_left_as_they_are():
    some = levels(3)
    before = [one.planes.copy() for one in some]
    guides(some)
    assert all(np.array_equal(one.planes, old) for one, old in zip(some, before, strict=True))


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_a_blur_leads_to_what_is_nearer_to_the_truth(name, monkeypatch):
    photo = cv2.pyrDown(getattr(data, name)())
    height, width = photo.shape[:2]

    def error():
        total = 0.0
        for seed in range(3):
            at = np.random.default_rng(seed).uniform(0.2, 0.8, (3, 2)) * (width, height)
            mask = np.zeros((height, width), np.uint8)
            for x, y in at.astype(int):
                cv2.ellipse(mask, (int(x), int(y)), (45, 30), 0, 0, 360, 255, -1)
            total += np.abs(patchmatch.fill(photo, mask) * 255 - photo)[mask > 0].mean()
        return total

    led = error()
    monkeypatch.setattr(patch_guide, "_WEIGHT", 0)
    assert led < 0.99 * error()
