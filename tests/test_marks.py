"""What a mask marks: bright enough to be meant, and not swallowed by what is grown around it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retouchd.config import Mask
from retouchd.errors import MaskTooFaint
from retouchd.images.mask import decode_mask
from retouchd.marks import check_marks
from retouchd.masks import hole_from_grey


def check(grey: np.ndarray, **settings: object) -> None:
    lane = Mask.model_validate(settings)
    check_marks(grey, hole_from_grey(grey, lane), lane, "m.png")


def plain(ground: int, *marks: int) -> np.ndarray:
    grey = np.full((20, 30), ground, np.uint8)
    grey[3, 3 : 3 + len(marks)] = marks
    return grey


def painted(mode: str, ground: Any, colour: Any, kind: str = "PNG") -> np.ndarray:
    """The greys of a mask with a square of one colour, as it is read from its file."""
    picture = Image.new(mode, (64, 48), ground)
    picture.paste(colour, (10, 10, 30, 30))
    file = io.BytesIO()
    picture.save(file, kind)
    return decode_mask(file.getvalue(), "m.png", 10**6).grey


@pytest.mark.parametrize(
    ("grey", "brightest"),
    [
        (plain(0, 76), 76),
        (plain(0, 127), 127),
        (plain(0, 17), 17),
        (painted("RGB", "black", (255, 0, 0)), 76),
        (painted("RGB", "black", (255, 0, 0), "JPEG"), 76),
        (painted("RGBA", (0, 0, 0, 0), (255, 255, 255, 100)), 100),
    ],
)
def test_marks_of_which_none_is_bright_enough_are_refused(grey: np.ndarray, brightest: int) -> None:
    with pytest.raises(MaskTooFaint) as caught:
        check(grey)
    said = int(caught.value.message.split("brightest value is ")[1].split()[0])
    assert abs(said - brightest) <= 15, "a JPEG's edges ring"
    assert "over 127 counts" in caught.value.message
    assert "white" in caught.value.advice
    assert f"mask.threshold below {said}" in caught.value.advice
    check(grey, threshold=said - 1)


def test_one_mark_that_is_bright_enough_is_enough() -> None:
    check(plain(0, 76, 128))


@pytest.mark.parametrize("noise", [0, 3, 16])
def test_black_all_over_marks_nothing_and_that_is_no_error(noise: int) -> None:
    check(plain(0, noise))
    check(plain(255, 255 - noise), invert=True)


def test_black_all_over_as_a_jpeg_marks_nothing_and_that_is_no_error() -> None:
    check(painted("RGB", "black", (0, 0, 0), "JPEG"))


def test_where_black_is_what_counts_it_has_to_be_dark_enough() -> None:
    with pytest.raises(MaskTooFaint, match=r"darkest value is 179 .* not over 127") as caught:
        check(plain(255, 179), invert=True)
    assert "black on white" in caught.value.advice
    assert "raise mask.threshold to 179" in caught.value.advice
    check(plain(255, 179), invert=True, threshold=179)
    check(plain(255, 76), invert=True)
