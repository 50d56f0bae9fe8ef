"""EXIF of a picture that was cropped or put on a canvas says that picture's size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retouchd.images import Metadata
from retouchd.images.exif import with_size

WIDTH, HEIGHT, ACROSS, DOWN, MAKE, CAMERA = 0x100, 0x101, 0xA002, 0xA003, 0x10F, 0x8769


def block(order: str = "<", *, top: bool = True, nested: bool = True) -> bytes:
    found = Image.Exif()
    found.endian = order
    found[MAKE] = "A Camera"
    if top:
        found[WIDTH], found[HEIGHT] = 4000, 70_000
    if nested:
        camera = found.get_ifd(CAMERA)
        camera[ACROSS], camera[DOWN], camera[0x9003] = 4000, 70_000, "2026:11:21 10:00:00"
    return found.tobytes().removeprefix(b"Exif\0\0")


def read(content: bytes) -> Image.Exif:
    found = Image.Exif()
    found.load(content)
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_directories_get_the_new_sides_and_keep_the_rest(order: str) -> None:
    changed = with_size(block(order), 2000, 1000)
    assert changed is not None
    found = read(changed)
    camera = found.get_ifd(CAMERA)
    assert (found[WIDTH], found[HEIGHT]) == (2000, 1000)
    assert (camera[ACROSS], camera[DOWN]) == (2000, 1000)
    assert (found[MAKE], camera[0x9003]) == ("A Camera", "2026:11:21 10:00:00")
    assert len(changed) == len(block(order))


@pytest.mark.parametrize("nested", [False, True])
def test_a_block_that_says_no_size_stays_as_it_is(nested: bool) -> None:
    plain = block(top=False, nested=False) if not nested else block(top=False, nested=True)
    changed = with_size(plain, 9, 9)
    assert changed is not None
    assert (changed == plain) == (not nested)


@given(st.binary(max_size=60))
def test_a_damaged_block_is_left_out_and_is_no_trouble(content: bytes) -> None:
    changed = with_size(content, 5, 5)
    assert changed is None or len(changed) == len(content)


def test_metadata_without_exif_have_no_size_to_change() -> None:
    assert Metadata("png").of_size(3, 4) == Metadata("png")
    sized = Metadata("jpeg", exif=block(), dpi=(300.0, 300.0)).of_size(3, 4)
    assert sized.exif == with_size(block(), 3, 4)
    assert sized.dpi == (300.0, 300.0)
