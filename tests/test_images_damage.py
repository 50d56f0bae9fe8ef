"""Cut off, overwritten and made-up files: always one of our errors, never half a picture."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.counting import Counting
from helpers.kinds import photos, saved
from retouchd.errors import (
    IoTrouble,
    NotAnImage,
    PermanentError,
    RetouchdError,
    Truncated,
    Unsupported,
)
from retouchd.images import check_complete, decode, decode_mask, read_header

LIMIT = 100_000


@cache
def samples() -> dict[str, bytes]:
    return {name: kind.data for name, kind in photos().items()}


KINDS = sorted(samples())


def is_complete(data: bytes) -> bool:
    try:
        check_complete(io.BytesIO(data), len(data), "a")
    except (Truncated, NotAnImage):
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_complete_and_decodes(kind: str) -> None:
    data = samples()[kind]
    assert is_complete(data)
    photo = decode(data, "a", LIMIT)
    assert photo.pixels.shape[:2] == (72, 96)
    header = read_header(io.BytesIO(data), "a")
    assert (header.width, header.height) == (96, 72)
    assert header.channels == photo.pixels.shape[2]
    assert header.frames == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_off_file_is_never_taken_for_a_picture(kind: str) -> None:
    data = samples()[kind][: photos()[kind].whole]
    cuts = {len(data) * percent // 100 for percent in (1, *range(10, 100, 5), 99)}
    for cut in sorted(cuts | {len(data) - 1, len(data) - 3, 0, 1, 7}):
        with pytest.raises(PermanentError):
            decode(data[:cut], "a", LIMIT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_still_being_copied_is_not_complete(kind: str) -> None:
    """By structure alone, so that a watcher can ask often; the header tells it."""
    data = samples()[kind][: photos()[kind].whole]
    for percent in (0, 1, 10, 30, 50, 70, 90, 99):
        assert not is_complete(data[: len(data) * percent // 100]), percent


@pytest.mark.parametrize("kind", ["jpeg", "jpeg, progressive", "png", "png, 16"])
def test_a_file_whose_space_was_reserved_in_advance_is_not_complete(kind: str) -> None:
    """Windows' copying sets the final size first; what isn't written yet reads as zeros."""
    data = samples()[kind]
    for percent in (0, 1, 10, 50, 90):
        at = len(data) * percent // 100
        assert not is_complete(data[:at] + b"\0" * (len(data) - at))


@pytest.mark.parametrize("format", ["WEBP", "AVIF"])
def test_an_unwritten_end_is_seen_in_larger_files(format: str) -> None:
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, 256, (150, 150, 3), dtype=np.uint8))
    data = saved(format, image, quality=95)
    assert is_complete(data)
    assert not is_complete(data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_headers_and_checks_read_little_of_a_large_file(format: str) -> None:
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, 256, (700, 700, 3), dtype=np.uint8))
    data = saved(format, image, quality=95)
    file = Counting(data)
    assert len(data) > 400_000
    read_header(file, "a")
    check_complete(file, len(data), "a")
    assert file.taken < 80_000


def test_the_size_that_the_file_system_says_counts() -> None:
    data = samples()["png"]
    with pytest.raises(Truncated):
        check_complete(io.BytesIO(data), len(data) + 1, "a")


def test_a_thumbnails_end_does_not_pass_for_the_pictures() -> None:
    data = samples()["jpeg, thumbnail"]
    inner = data.index(b"\xff\xd9") + 2
    assert inner < len(data) // 2
    assert not is_complete(data[:inner])


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"SEFT film" * 20_000, b"\r\n"])
def test_what_phones_put_behind_a_jpeg_is_allowed(tail: bytes) -> None:
    for kind in ("jpeg", "jpeg, progressive"):
        data = samples()[kind] + tail
        assert is_complete(data)
        expected = decode(samples()[kind], "a", LIMIT).pixels
        np.testing.assert_array_equal(decode(data, "a", LIMIT).pixels, expected)


def test_a_changed_byte_in_a_png_is_noticed() -> None:
    data = bytearray(samples()["png"])
    data[len(data) * 2 // 3] ^= 0x10
    with pytest.raises(NotAnImage):
        decode(bytes(data), "a", LIMIT)


@pytest.mark.parametrize("kind", ["png, gray", "png, palette"])
def test_every_png_checksum_is_checked(kind: str) -> None:
    data = samples()[kind]
    at = data.index(b"IEND") - 6  # in the checksum of the last picture data
    with pytest.raises(NotAnImage, match="checksum"):
        decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], "a", LIMIT)


SAMPLES_PER_PIXEL = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [
    (8, 8, 0, 0),
    (8, 8, 4, 0),
    (4, 8, 0, 4),
    (4, 4, 2, 0),
    (2, 4, 0, 2),
    (2, 2, 1, 0),
    (1, 2, 0, 1),
]


def black_png(colour: int, depth: int, interlaced: bool, share: float) -> bytes:
    """37 × 41 black pixels, of which only a share is there, in a sound stream."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    bits = depth * SAMPLES_PER_PIXEL[colour]
    passes = ADAM7 if interlaced else [(1, 1, 0, 0)]
    sides = [(len(range(x, 37, dx)), len(range(y, 41, dy))) for dx, dy, x, y in passes]
    raw = bytes(sum(height * (1 + (width * bits + 7) // 8) for width, height in sides))
    frame = struct.pack(">IIBBBBB", 37, 41, depth, colour, 0, 0, int(interlaced))
    colours = chunk(b"PLTE", bytes(30)) if colour == 3 else b""
    body = chunk(b"IDAT", zlib.compress(raw[: int(len(raw) * share)])) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", frame) + colours + body


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("colour", "depth"),
    [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8)],
)
def test_a_png_with_too_few_rows_is_refused(colour: int, depth: int, interlaced: bool) -> None:
    whole = decode(black_png(colour, depth, interlaced, 1), "a", LIMIT)
    assert whole.pixels.shape[:2] == (41, 37)
    for share in (0.5, 0.98):
        with pytest.raises(PermanentError):
            decode(black_png(colour, depth, interlaced, share), "a", LIMIT)


def test_an_empty_file_is_truncated() -> None:
    for ask in (
        lambda: decode(b"", "a", LIMIT),
        lambda: check_complete(io.BytesIO(b""), 0, "a"),
        lambda: read_header(io.BytesIO(b""), "a"),
    ):
        with pytest.raises(Truncated, match="empty"):
            ask()


def test_a_share_that_fails_says_nothing_about_the_picture() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    for ask in (read_header, lambda f, n: check_complete(f, 100, n)):
        with pytest.raises(IoTrouble):
            ask(Failing(samples()["png"]), "a")


def test_text_and_noise_are_not_images() -> None:
    for data in (b"hello", b"<html>" * 50, random.Random(3).randbytes(5000)):
        with pytest.raises(NotAnImage):
            decode(data, "a.jpg", LIMIT)


def harmless(data: bytes) -> None:
    raised: list[RetouchdError] = []
    for ask in (
        lambda: read_header(io.BytesIO(data), "a"),
        lambda: check_complete(io.BytesIO(data), len(data), "a"),
        lambda: decode(data, "a", LIMIT),
        lambda: decode_mask(data, "a", LIMIT),
    ):
        try:
            ask()
        except RetouchdError as error:
            raised.append(error)
    assert all(error.message and error.advice for error in raised)


QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)

MAGICS = [
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"RIFF\x40\0\0\0WEBPVP8X",
    b"II*\0\x08\0\0\0",
    b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10",
    b"BM",
    b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B\0\0\0\x40meta",
]


@QUICK
@given(st.sampled_from([b"", *MAGICS]), st.binary(max_size=300))
def test_random_bytes_only_raise_our_errors(magic: bytes, rest: bytes) -> None:
    harmless(magic + rest)


@QUICK
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_mutated_headers_only_raise_our_errors(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(samples()[kind])
    for at, value in changes:
        data[at % len(data)] = value
    harmless(bytes(data))


@QUICK
@given(st.sampled_from(KINDS), st.randoms(use_true_random=False))
def test_mutated_files_only_raise_our_errors(kind: str, chance: random.Random) -> None:
    data = bytearray(samples()[kind])
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data))
        if chance.random() < 0.3:
            del data[at : at + chance.randint(1, 64)]
        else:
            data[at] = chance.randrange(256)
    harmless(bytes(data))


def test_refusals_are_not_mistaken_for_damage() -> None:
    """A GIF is whole, only of no use: the advice differs."""
    with pytest.raises(Unsupported):
        check_complete(io.BytesIO(saved("GIF", np.zeros((9, 9), np.uint8))), 10, "a")
