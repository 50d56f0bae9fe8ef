"""The picture behind cut-outs: there, whole and readable, or the lane waits for it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.studio import file, product
from retouchd.errors import BackgroundMissing, EnvironmentTrouble
from retouchd.tasks.backgrounds import check_background, read_background

WALL = file(product())


def test_none_is_none() -> None:
    assert check_background(None) is None
    assert read_background(None, 1, None) is None


def test_it_is_read_as_it_is_and_known_by_its_content(tmp_path: Path) -> None:
    """So that another picture under the same name is other work."""
    path = tmp_path / "wall.png"
    path.write_bytes(WALL)
    pixels = read_background(str(path), 10**6, None)
    assert pixels is not None
    np.testing.assert_array_equal(pixels, product())
    assert check_background(str(path)) == hashlib.sha256(WALL).hexdigest()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"hello", "not an image"),
        (WALL[:-300], "incomplete"),
    ],
)
def test_what_is_wrong_with_it_pauses_the_lane_and_is_said(
    tmp_path: Path, content: bytes | None, cause: str
) -> None:
    path = tmp_path / "wall.png"
    if content is not None:
        path.write_bytes(content)
    for ask in (check_background, lambda path: read_background(path, 10**6, None)):
        with pytest.raises(BackgroundMissing, match=cause) as caught:
            ask(str(path))
        assert isinstance(caught.value, EnvironmentTrouble)
        assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("content", "cause", "remedy"),
    [
        (file(Image.new("CMYK", (9, 9)), "JPEG"), r"it is a CMYK JPEG\.$", r"RGB[^.]*\. Or change"),
        (b"hello", r"is not an image .*\w\.$", r"^Open it [^.]* BMP or AVIF\. Or change"),
        (
            WALL[:-300],
            r"is incomplete: .*\w\.$",
            r"Copy the file again from its source\. Or change",
        ),
        (None, r"No such file or directory\.$", r"^Put a picture there [^.]*\. Or change"),
    ],
)
def test_the_remedy_is_that_of_the_cause_and_speaks_of_no_drop(
    tmp_path: Path, content: bytes | None, cause: str, remedy: str
) -> None:
    path = tmp_path / "wall.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BackgroundMissing) as caught:
        check_background(str(path))
    assert re.search(cause, caught.value.message)
    assert re.search(remedy, caught.value.advice)
    assert "drop" not in caught.value.advice


def test_one_that_is_larger_than_the_lanes_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    path.write_bytes(WALL)
    with pytest.raises(BackgroundMissing, match="limit"):
        read_background(str(path), 100, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    path.write_bytes(WALL)
    path.chmod(0)
    with pytest.raises(BackgroundMissing, match="Permission denied"):
        check_background(str(path))


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(BackgroundMissing, match="directory"):
        check_background(str(tmp_path))
