"""A picture is upright after decoding, whatever its format, and so is its mask."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from retouchd.images import Metadata, Photo, decode, decode_mask, encode, read_header

LIMIT = 1_000_000
HEIGHT, WIDTH = 40, 64
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]


def picture() -> np.ndarray:
    """Upright and asymmetric: a bright bar above, a gray square at the left below it."""
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    out[:8] = 255
    out[16:32, :16] = 128
    return out


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The stored rows that a camera held that way would write (CIPA DC-008, 4.6.4)."""
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(undo[orientation](upright))


def exif(orientation: int, stored: np.ndarray) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Acme"
    nested = block.get_ifd(0x8769)
    nested[0xA002], nested[0xA003] = stored.shape[1], stored.shape[0]
    return block


def file_of(format: str, orientation: int, mode: str = "RGB") -> bytes:
    stored = turned(picture(), orientation)
    options: dict[str, object] = {"exif": exif(orientation, stored)}
    if format == "WEBP":
        options["lossless"] = True
    if format in ("JPEG", "AVIF"):
        options |= {"quality": 98, "subsampling": "4:4:4"}
    stream = io.BytesIO()
    Image.fromarray(stored).convert(mode).save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", FORMATS)
def test_all_eight_orientations_are_applied_once(format: str, orientation: int) -> None:
    data = file_of(format, orientation)
    header = read_header(io.BytesIO(data), "a")
    assert header.orientation == orientation
    assert header.upright_size == (WIDTH, HEIGHT)
    photo = decode(data, "a", LIMIT)
    assert photo.pixels.shape == (HEIGHT, WIDTH, 3)
    assert photo.pixels.flags.c_contiguous
    assert np.abs(photo.pixels.astype(int) - picture()).max() < 12
    made = encode(photo).data
    assert read_header(io.BytesIO(made), "a").orientation == 1
    again = decode(made, "a", LIMIT)
    assert np.abs(again.pixels.astype(int) - picture()).max() < 24


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", FORMATS)
def test_a_mask_is_turned_like_its_photo(format: str, orientation: int) -> None:
    mask = decode_mask(file_of(format, orientation, "L"), "m", LIMIT)
    assert mask.grey.shape == (HEIGHT, WIDTH)
    assert np.abs(mask.grey.astype(int) - picture()[..., 0]).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_tiffs_are_turned_too(orientation: int, channels: int) -> None:
    upright = (picture().astype(np.uint16) * 257)[..., :channels]
    stored = turned(upright, orientation)
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        stored[..., 0] if channels == 1 else stored,
        photometric="minisblack" if channels == 1 else "rgb",
        metadata=None,
        extratags=[(274, 3, 1, orientation, True)],
    )
    photo = decode(stream.getvalue(), "a", LIMIT)
    np.testing.assert_array_equal(photo.pixels, upright)
    np.testing.assert_array_equal(decode(encode(photo).data, "a", LIMIT).pixels, upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_pngs_are_turned_too(orientation: int) -> None:
    upright = picture().astype(np.uint16) * 257
    block = exif(orientation, upright).tobytes()[6:]
    photo = Photo(turned(upright, orientation), Metadata("png", bit_depth=16, exif=block))
    np.testing.assert_array_equal(decode(encode(photo).data, "a", LIMIT).pixels, upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_10_bit_avifs_are_turned_too(orientation: int) -> None:
    stored = turned(picture(), orientation).astype(np.uint16)[..., ::-1] * 4
    block = exif(orientation, stored).tobytes()[6:]
    done, data = cv2.imencodeWithMetadata(
        ".avif",
        np.ascontiguousarray(stored),
        [cv2.IMAGE_METADATA_EXIF],
        [np.frombuffer(block, np.uint8)],
        [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 98],
    )
    assert done
    photo = decode(data.tobytes(), "a", LIMIT)
    shown = picture()
    assert photo.pixels.shape == shown.shape
    assert photo.pixels.dtype == np.uint16
    assert np.abs(photo.pixels / 257 - shown).max() < 20


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_the_tags_that_speak_of_sides_follow_the_turn(format: str) -> None:
    photo = decode(file_of(format, 6), "a", LIMIT)
    block = Image.Exif()
    assert photo.metadata.exif is not None
    block.load(photo.metadata.exif)
    nested = block.get_ifd(0x8769)
    assert (nested[0xA002], nested[0xA003]) == (WIDTH, HEIGHT)
    assert block[0x0112] == 1


def test_the_resolution_follows_the_turn() -> None:
    stream = io.BytesIO()
    stored = turned(picture(), 6)
    Image.fromarray(stored).save(stream, "JPEG", exif=exif(6, stored), dpi=(300, 150))
    assert decode(stream.getvalue(), "a", LIMIT).metadata.dpi == (150, 300)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_impossible_orientation_counts_as_upright(value: int) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "PNG", exif=exif(value, picture()))
    np.testing.assert_array_equal(decode(stream.getvalue(), "a", LIMIT).pixels, picture())


@pytest.mark.parametrize(
    "packet",
    [
        b'<rdf:Description tiff:Orientation="6" xmpNote:HasExtendedXMP="AB12"/>',
        b"<rdf:Description><tiff:Orientation>6</tiff:Orientation></rdf:Description>",
    ],
)
def test_xmp_does_not_turn_the_picture_again(packet: bytes) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "JPEG", xmp=packet)
    kept = decode(stream.getvalue(), "a", LIMIT).metadata.xmp
    assert kept is not None
    assert b"6" not in kept
    assert b"HasExtendedXMP" not in kept
    assert b"Orientation" in kept


def test_an_xmp_thumbnail_is_dropped() -> None:
    packet = b"<a><xmp:Thumbnails><rdf:Alt>base64secret</rdf:Alt></xmp:Thumbnails><b/></a>"
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "JPEG", xmp=packet)
    assert decode(stream.getvalue(), "a", LIMIT).metadata.xmp == b"<a><b/></a>"
