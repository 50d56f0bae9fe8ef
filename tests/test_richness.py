"""A photo is told from a mask by its many colours, and no mask is taken for a photo."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from retouchd.errors import NotAMask
from retouchd.images import decode_mask
from retouchd.images.richness import has_many_colours
from retouchd.marks import check_colours

HEIGHT, WIDTH = 240, 320


def shape(soft: float = 0.0, seed: int = 0) -> np.ndarray:
    """Ellipses [H, W, 1], 0 to 1."""
    chance = np.random.default_rng(seed)
    plane = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(4):
        x, y, a, b = (int(chance.integers(10, most)) for most in (WIDTH, HEIGHT, 90, 70))
        cv2.ellipse(plane, (x, y), (a, b), 30, 0, 360, 1, -1, cv2.LINE_AA)
    return (cv2.GaussianBlur(plane, (0, 0), soft) if soft else plane)[..., np.newaxis]


def between(mark: tuple[int, ...], ground: tuple[int, ...], soft: float = 0.0) -> np.ndarray:
    share = shape(soft)
    return (share * np.array(mark) + (1 - share) * np.array(ground)).astype(np.uint8)


def photo() -> np.ndarray:
    """A product in many colours before white, on a third of the picture."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    tints = [120 + 90 * np.sin(x / 30), 110 + 80 * np.sin(y / 25), 90 + 60 * np.cos((x + y) / 40)]
    inside = shape(seed=3)[..., 0] > 0.5
    return np.where(inside[..., np.newaxis], np.dstack(tints), 250).astype(np.uint8)


def heat(map: int) -> np.ndarray:
    values = (np.clip(shape(25)[..., 0], 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(values, map)[..., ::-1])


def segments() -> np.ndarray:
    chance = np.random.default_rng(5)
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for number in range(6):
        colour = tuple(int(c) for c in chance.integers(0, 256, 3))
        cv2.circle(out, (52 * number, 40 * number), 45, colour, -1, cv2.LINE_AA)
    return out


MASKS = {
    "black and white": between((255, 255, 255), (0, 0, 0)),
    "feathered": between((255, 255, 255), (0, 0, 0), 20),
    "sepia": between((255, 235, 200), (30, 18, 8), 20),
    "tinted": between((240, 250, 255), (4, 0, 12), 5),
    "red on black": between((255, 0, 0), (0, 0, 0)),
    "red on black, feathered": between((255, 0, 0), (0, 0, 0), 20),
    "red on blue": between((255, 40, 0), (0, 80, 255), 5),
    "hot": heat(cv2.COLORMAP_HOT),
    "viridis": heat(cv2.COLORMAP_VIRIDIS),
    "magma": heat(cv2.COLORMAP_MAGMA),
    "segments": segments(),
}


def packed(pixels: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


@pytest.mark.parametrize("quality", [95, 60, 15])
@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_no_photo_however_badly_it_is_packed(name: str, quality: int) -> None:
    assert not has_many_colours(MASKS[name])
    assert not decode_mask(packed(MASKS[name], quality), "m.jpg", 10**6).many_colours


@pytest.mark.parametrize("quality", [95, 60])
def test_a_photo_is_one(quality: int) -> None:
    assert has_many_colours(photo())
    assert decode_mask(packed(photo(), quality), "m.jpg", 10**6).many_colours


@pytest.mark.parametrize("channels", [1, 2])
def test_without_colours_nothing_is_a_photo(channels: int) -> None:
    assert not has_many_colours(photo()[..., :channels])


def test_a_photo_with_holes_is_a_mask() -> None:
    """What is erased is the mask, so its colours say nothing."""
    stream = io.BytesIO()
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[20:60, 30:90] = 0
    Image.fromarray(np.dstack([photo(), alpha])).save(stream, "PNG")
    found = decode_mask(stream.getvalue(), "m.png", 10**6)
    assert not found.many_colours
    assert found.grey[30, 40] == 255


def test_a_photo_that_was_taken_for_a_mask_is_told_of_both_and_of_its_name() -> None:
    check_colours(False, "hair-mask.jpg", "hair.jpg")
    with pytest.raises(NotAMask) as caught:
        check_colours(True, "hair-mask.jpg", "hair.jpg")
    assert "hair-mask.jpg was taken for the mask of hair.jpg" in caught.value.message
    assert "because of its name" in caught.value.message
    assert "If it is a photo, rename it" in caught.value.advice
