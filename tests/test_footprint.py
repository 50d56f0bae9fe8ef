"""What a photo takes in memory."""

from __future__ import annotations

import pytest

from retouchd.footprint import footprint


@pytest.mark.parametrize(
    ("name", "format", "times"),
    [
        ("a.jpg", "same", 3),
        ("a.PNG", "same", 3),
        ("a.webp", "same", 11),
        ("album/a.AVIF", "png", 9),
        ("a.jpg", "webp", 11),
        ("a.avif", "webp", 11),
        ("a", "same", 3),
    ],
)
def test_it_is_what_the_dearer_of_both_formats_takes(name: str, format: str, times: int) -> None:
    assert footprint(1000, name, format) == 1000 * times


def test_a_canvas_larger_than_the_photo_is_what_counts() -> None:
    assert footprint(1000, "a.jpg", "same", "matte") == 7000
    assert footprint(1000, "a.jpg", "same", "matte", canvas=3000) == 21000
    assert footprint(1000, "a.jpg", "same", "matte", canvas=10) == 7000
