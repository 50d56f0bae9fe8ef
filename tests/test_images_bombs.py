"""Small files that ask for much get little: memory and time are bounded by what is allowed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.bombs import BOMBS
from helpers.counting import Counting
from helpers.kinds import photos, saved
from retouchd.images import Metadata, decode
from retouchd.images.metadata import _LARGEST as MOST_METADATA
from retouchd.images.xmp import made_true

SECONDS = 4
"""Of a processor, for both looks at a file. What has no bound takes minutes, or hours."""
MEGABYTES = 300
"""Beyond what the process takes and the file itself."""

# Each limit is met by a process of its own, forked before anything large was allocated.
SCRIPT = """
import io, json, sys

sys.path.insert(0, sys.argv[1])
import cv2
from helpers.bombs import BOMBS
from helpers.frugal import answer_within
from retouchd.images import check_complete, decode

cv2.setNumThreads(1)


def read(data, name):
    check_complete(io.BytesIO(data), len(data), name)
    return str(decode(data, name, 10**6).pixels.shape[:2])


found = {}
for name in BOMBS:
    data = BOMBS[name].make()
    found[name] = answer_within(int(sys.argv[2]), lambda: read(data, name), int(sys.argv[3]))
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
@pytest.mark.timeout(180)
def test_no_file_takes_more_than_a_photo_of_the_allowed_size() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(MEGABYTES), str(SECONDS)],
        capture_output=True,
        text=True,
        timeout=170,
        check=True,
    )
    found = json.loads(done.stdout)
    assert set(found) == set(BOMBS)
    for name, answer in found.items():
        if BOMBS[name].sound:
            assert answer == "(72, 96)", name
        else:
            assert answer in ("NotAnImage", "Truncated", "Unsupported", "TooLarge"), name


def test_scans_of_an_ordinary_picture_are_no_bomb() -> None:
    """As many as optimising encoders try, and more."""
    data = saved("JPEG", np.zeros((64, 64), np.uint8), progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    expected = decode(data, "a", 10**6).pixels
    found = decode(data[:-2] + last * 100 + b"\xff\xd9", "a", 10**6).pixels
    np.testing.assert_array_equal(found, expected)


def test_fill_bytes_before_a_segment_are_allowed() -> None:
    data = photos()["jpeg"].data
    filled = data[:2] + b"\xff" * 1000 + data[2:]
    np.testing.assert_array_equal(
        decode(filled, "a", 10**6).pixels, decode(data, "a", 10**6).pixels
    )


def test_metadata_beyond_a_limit_are_left_out_with_a_note() -> None:
    """The service holds them in memory. The colour profile would be missed most."""
    large = bytes(MOST_METADATA // 2)
    given = Metadata("png", icc=large, exif=large, xmp=b"x", chunks=(("tEXt", b"a\0b"),))
    found, notes = given.bounded()
    assert found == replace(given, xmp=None, chunks=())
    assert [note.partition(":")[0] for note in notes] == ["the XMP data", "some texts of the PNG"]
    small = replace(given, icc=b"profile", chunks=(("tEXt", large * 2), ("tEXt", b"a\0b")))
    found, notes = small.bounded()
    assert found == replace(small, chunks=(("tEXt", b"a\0b"),))
    assert len(notes) == 1


def test_a_thumbnail_in_a_packet_goes_wherever_it_stands() -> None:
    thumbnail = b"<xmp:Thumbnails><rdf:Alt>x</rdf:Alt></xmp:Thumbnails>"
    other = b"<xap:Thumbnails a='b'>y</xap:Thumbnails>"
    assert made_true(b"1" + thumbnail + b"2" + other + b"3" + thumbnail) == b"123"
    open_ended = b"1" + thumbnail + b"2<xmp:Thumbnails>3"
    assert made_true(open_ended) == b"12<xmp:Thumbnails>3"
    assert made_true(b"<xmp:ThumbnailsX>1</xmp:ThumbnailsX>") == (
        b"<xmp:ThumbnailsX>1</xmp:ThumbnailsX>"
    )


def test_many_parts_of_a_jpeg_are_walked_once() -> None:
    """Not with a look at the next megabyte for each."""

    from retouchd.images import check_complete

    data = photos()["jpeg"].data
    file = Counting(data[:-2] + b"\xff\xfe\x00\x12" + b"c" * 16 + data[-2:] + b"a film behind it")
    many = Counting(
        data[:-2] + (b"\xff\xfe\x00\x12" + b"c" * 16) * 50_000 + data[-2:] + b"a film behind it"
    )
    for one in (file, many):
        size = len(one.getvalue())
        check_complete(one, size, "a")
        assert one.taken < 20 * size + 100_000
