"""A mask is read as people mean it: white, painted, or erased."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from retouchd.errors import MaskUnreadable, NotAnImage, TooLarge
from retouchd.images import Metadata, Photo, decode_mask, encode, mask

LIMIT = 1_000_000
H, W = 32, 48
SPOT = np.s_[8:16, 10:30]


def spot(value: int = 255, around: int = 0) -> np.ndarray:
    out = np.full((H, W), around, np.uint8)
    out[SPOT] = value
    return out


def png(pixels: np.ndarray) -> bytes:
    shaped = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    return encode(Photo(np.ascontiguousarray(shaped), Metadata("png"))).data


def painted(colour: tuple[int, int, int], alpha: np.ndarray) -> np.ndarray:
    return np.dstack([np.full((H, W, 3), colour, np.uint8), alpha])


def a_photo() -> np.ndarray:
    y, x = np.mgrid[0:H, 0:W]
    return np.dstack([x * 4 + 40, y * 5 + 30, 200 - x * 3]).astype(np.uint8)


def read(pixels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    mask = decode_mask(png(pixels), "m.png", LIMIT)
    assert mask.grey.dtype == np.uint8
    assert mask.grey.flags.c_contiguous
    return mask.grey, mask.notes


@pytest.mark.parametrize("as_rgb", [False, True])
def test_black_and_white_is_read_as_it_is(as_rgb: bool) -> None:
    pixels = np.dstack([spot()] * 3) if as_rgb else spot()
    grey, notes = read(pixels)
    np.testing.assert_array_equal(grey, spot())
    assert notes == ()


def test_gray_values_stay_for_the_threshold_to_decide() -> None:
    grey, _ = read(spot(130, 20))
    np.testing.assert_array_equal(grey, spot(130, 20))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_are_scaled(channels: int) -> None:
    deep = np.repeat((spot(255, 3).astype(np.uint16) * 257)[..., np.newaxis], channels, 2)
    if channels in (2, 4):
        deep[..., -1] = 65535
    grey, _ = read(deep)
    np.testing.assert_array_equal(grey, spot(255, 3))


@pytest.mark.parametrize("mode", ["1", "P"])
def test_bilevel_and_palette_masks_are_read(mode: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(spot()).convert(mode).save(stream, "PNG")
    np.testing.assert_array_equal(decode_mask(stream.getvalue(), "m", LIMIT).grey, spot())


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_mask_may_be_of_any_format(format: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(spot()).save(stream, format)
    far = np.abs(decode_mask(stream.getvalue(), "m", LIMIT).grey.astype(int) - spot())
    assert far.max() < 60
    assert far.mean() < 4


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (255, 0, 0), (20, 90, 30)])
def test_strokes_of_one_colour_on_a_transparent_layer_are_removed(
    colour: tuple[int, int, int],
) -> None:
    grey, notes = read(painted(colour, spot()))
    np.testing.assert_array_equal(grey, spot())
    assert notes == ("the mask was read from its alpha channel: opaque counts as marked",)


def test_a_soft_brush_gives_soft_values() -> None:
    alpha = spot()
    alpha[8] = 90
    grey, _ = read(painted((255, 255, 255), alpha))
    np.testing.assert_array_equal(grey, alpha)


def test_colour_below_full_transparency_does_not_matter() -> None:
    pixels = np.dstack([a_photo(), spot()])
    pixels[SPOT][..., :3] = 255
    grey, _ = read(pixels)
    np.testing.assert_array_equal(grey, spot())


def test_white_all_over_with_a_transparent_part_keeps_that_part() -> None:
    grey, _ = read(painted((255, 255, 255), spot(0, 255)))
    np.testing.assert_array_equal(grey, spot(0, 255))


def test_a_black_sheet_with_holes_means_the_holes() -> None:
    grey, notes = read(painted((0, 0, 0), spot(0, 255)))
    np.testing.assert_array_equal(grey, spot())
    assert notes == ("the mask was read from its alpha channel: holes count as marked",)


def test_holes_erased_into_a_photo_are_removed() -> None:
    grey, notes = read(np.dstack([a_photo(), spot(0, 255)]))
    np.testing.assert_array_equal(grey, spot())
    assert notes == ("the mask was read from its alpha channel: holes count as marked",)


def test_strokes_of_two_colours_are_removed() -> None:
    pixels = np.dstack([a_photo(), spot()])
    pixels[8:12, 10:30, :3] = (255, 0, 0)
    pixels[12:16, 10:30, :3] = (0, 255, 0)
    grey, _ = read(pixels)
    np.testing.assert_array_equal(grey, spot())


def test_a_black_and_white_mask_with_alpha_lies_on_black() -> None:
    alpha = np.full((H, W), 255, np.uint8)
    alpha[:, :15] = 0
    grey, notes = read(np.dstack([spot(), spot(), spot(), alpha]))
    expected = spot()
    expected[:, :15] = 0
    np.testing.assert_array_equal(grey, expected)
    assert "black" in notes[0]


def test_gray_with_alpha_is_read_alike() -> None:
    grey, _ = read(np.dstack([np.full((H, W), 255, np.uint8), spot()]))
    np.testing.assert_array_equal(grey, spot())


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    grey, notes = read(np.dstack([spot(), np.full((H, W), 255, np.uint8)]))
    np.testing.assert_array_equal(grey, spot())
    assert notes == ()


def test_a_coloured_mask_is_read_by_brightness_and_says_so() -> None:
    grey, notes = read(np.dstack([spot(), spot(), spot(0)]))
    assert grey[SPOT].min() > 200
    assert "brightness" in notes[0]


def test_a_mask_that_is_transparent_everywhere_is_refused() -> None:
    with pytest.raises(MaskUnreadable) as caught:
        decode_mask(png(painted((255, 255, 255), spot(0))), "m.png", LIMIT)
    assert "m.png" in caught.value.message


def test_a_mask_has_the_same_limit_and_errors_as_a_photo() -> None:
    with pytest.raises(TooLarge):
        decode_mask(png(spot()), "m", H * W - 1)
    with pytest.raises(NotAnImage):
        decode_mask(b"no picture at all", "m", LIMIT)


def test_a_mask_is_looked_at_in_parts_that_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        painted((250, 10, 20), spot()),
        painted((0, 0, 0), spot(0, 255)),
        np.dstack([a_photo(), spot(0, 255)]),
        np.dstack([a_photo(), spot()]),
        np.dstack([spot()] * 3 + [spot(255, 128)]),
    ]
    whole = [read(case) for case in cases]
    monkeypatch.setattr(mask, "_PART", 3 * W)
    for case, (grey, notes) in zip(cases, whole, strict=True):
        found = read(case)
        np.testing.assert_array_equal(found[0], grey)
        assert found[1] == notes
