"""A JPEG comes back as the same kind of JPEG, and about as large."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter, JpegImagePlugin

from retouchd.images import JpegTraits, Metadata, decode, encode

LIMIT = 10_000_000


def photo_like(height: int = 240, width: int = 320) -> Image.Image:
    rng = np.random.default_rng(4)
    rough = Image.fromarray(rng.integers(60, 200, (height // 8, width // 8, 3), dtype=np.uint8))
    soft = rough.resize((width, height), Image.Resampling.BICUBIC)
    return soft.filter(ImageFilter.GaussianBlur(1))


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (image or photo_like()).save(stream, "JPEG", **options)
    return stream.getvalue()


def opened(data: bytes) -> JpegImagePlugin.JpegImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    return image


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [35, 75, 92, 100])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}], ids=str)
def test_tables_subsampling_scans_and_size_are_the_sources(
    quality: int, subsampling: str, options: dict[str, object]
) -> None:
    data = jpeg(quality=quality, subsampling=subsampling, **options)
    made = encode(decode(data, "a.jpg", LIMIT))
    assert made.notes == ()
    before, after = opened(data), opened(made.data)
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)
    assert after.info.get("progressive") == before.info.get("progressive")
    assert len(made.data) == pytest.approx(len(data), rel=0.04)


@pytest.mark.parametrize(("subsampling", "most"), [("4:4:4", 0.3), ("4:2:0", 1.2)])
def test_a_second_generation_hardly_differs(subsampling: str, most: float) -> None:
    first = decode(jpeg(quality=90, subsampling=subsampling), "a", LIMIT)
    second = decode(encode(first).data, "a", LIMIT)
    assert np.abs(second.pixels.astype(int) - first.pixels).mean() < most


def test_a_gray_jpeg_stays_gray() -> None:
    data = jpeg(photo_like().convert("L"), quality=80)
    made = encode(decode(data, "a", LIMIT)).data
    assert opened(made).mode == "L"
    assert opened(made).quantization == opened(data).quantization
    assert len(made) == pytest.approx(len(data), rel=0.03)


def test_an_rgb_jpeg_stays_rgb() -> None:
    data = jpeg(quality=90, keep_rgb=True)
    photo = decode(data, "a", LIMIT)
    assert photo.metadata.jpeg is not None
    assert photo.metadata.jpeg.rgb
    made = decode(encode(photo).data, "a", LIMIT)
    assert made.metadata.jpeg == photo.metadata.jpeg
    assert np.abs(made.pixels.astype(int) - photo.pixels).max() < 24


def test_three_tables_are_all_kept() -> None:
    tables = [[8] * 64, [16] * 64, [24] * 64]
    data = jpeg(qtables=tables, subsampling="4:4:4")
    made = encode(decode(data, "a", LIMIT)).data
    assert opened(made).quantization == opened(data).quantization


@pytest.mark.parametrize("sampling", [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, 0x121111])
def test_a_rare_subsampling_becomes_444_with_a_note(sampling: int) -> None:
    pixels = np.asarray(photo_like())
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    data = cv2.imencode(".jpg", pixels, options)[1].tobytes()
    made = encode(decode(data, "a", LIMIT))
    assert "4:4:4" in made.notes[0]
    assert opened(made.data).quantization == opened(data).quantization


def test_a_chosen_quality_overrides_the_sources() -> None:
    photo = decode(jpeg(quality=95), "a", LIMIT)
    assert len(encode(photo, quality=40).data) < len(encode(photo).data) / 2


def test_the_finest_tables_of_a_noisy_photo_can_be_written() -> None:
    """Progressive and optimised files need a buffer for the whole picture."""
    rng = np.random.default_rng(6)
    noise = Image.fromarray(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8))
    data = jpeg(noise, quality=100, optimize=True, subsampling=2)
    photo = decode(data, "a", LIMIT)
    traits = JpegTraits(((1,) * 64,) * 2, (1, 1), True, True, False)
    made = encode(replace(photo, metadata=replace(photo.metadata, jpeg=traits)))
    assert len(made.data) > 2 * 300 * 300, "more than Pillow's guess"
    assert np.abs(decode(made.data, "a", LIMIT).pixels.astype(int) - photo.pixels).mean() < 2


def test_traits_of_a_gray_source_do_not_spoil_a_colour_result() -> None:
    gray = decode(jpeg(photo_like().convert("L")), "a", LIMIT)
    colour = decode(jpeg(), "a", LIMIT)
    mixed = type(colour)(colour.pixels, gray.metadata)
    back = decode(encode(mixed).data, "a", LIMIT)
    assert back.pixels.shape[2] == 3


def test_comment_and_captions_are_kept() -> None:
    caption = b"\x1c\x02\x78\x00\x05hello"
    block = b"8BIM\x04\x0c\0\0\0\0\0\4thum" + b"8BIM\x04\x04\0\0\0\0\0\x0a" + caption
    segment = b"Photoshop 3.0\0" + block
    extra = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
    data = jpeg(comment=b"a comment", extra=extra)
    photo = decode(data, "a", LIMIT)
    assert photo.metadata.iptc == caption
    made = encode(photo).data
    assert opened(made).info["comment"] == b"a comment"
    assert opened(made).info["photoshop"] == {0x0404: caption}, "the thumbnail is gone"
    assert decode(made, "a", LIMIT).metadata == photo.metadata


def test_a_profile_of_several_segments_is_kept() -> None:
    profile = bytes(16) + b"RGB " + bytes(range(256)) * 600
    photo = decode(jpeg(icc_profile=profile), "a", LIMIT)
    assert photo.metadata.icc == profile
    assert decode(encode(photo).data, "a", LIMIT).metadata.icc == profile


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_thumbnail_is_not_only_unlinked_but_gone(order: str) -> None:
    """It would show what was removed from the photo."""
    small = jpeg(photo_like(24, 32))
    mark = b"II*\0" if order == "<" else b"MM\0*"

    def word(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little" if order == "<" else "big")

    def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return word(tag, 2) + word(kind, 2) + word(count, 4) + value.ljust(4, b"\0")

    second_at = 8 + 2 + 2 * 12 + 4
    picture_at = second_at + 2 + 2 * 12 + 4
    block = mark + word(8, 4)
    block += word(2, 2) + entry(0x112, 3, 1, word(1, 2)) + entry(0x128, 3, 1, word(2, 2))
    block += word(second_at, 4)
    block += word(2, 2) + entry(0x201, 4, 1, word(picture_at, 4))
    block += entry(0x202, 4, 1, word(len(small), 4)) + word(0, 4) + small
    data = jpeg(exif=b"Exif\0\0" + block)
    assert small in data
    kept = decode(data, "a", LIMIT).metadata.exif
    assert kept is not None
    assert len(kept) < len(block) - len(small) + 1
    made = encode(decode(data, "a", LIMIT)).data
    assert made.count(b"\xff\xd8\xff") == 1
    assert opened(made).getexif().get_ifd(0x201) == {}
    assert opened(made).getexif()[0x128] == 2


def test_damaged_exif_is_left_out_with_a_note() -> None:
    photo = decode(jpeg(exif=b"Exif\0\0MM\0*\0\0\xff\xff"), "a", LIMIT)
    assert photo.metadata.exif is None
    assert photo.notes == ("the EXIF data was damaged and is not kept",)


def test_resolution_comes_from_exif_where_jfif_has_none() -> None:
    block = Image.Exif()
    block[282], block[283], block[296] = 240.0, 120.0, 2
    stream = io.BytesIO()
    photo_like().save(stream, "JPEG", exif=block)
    data = bytearray(stream.getvalue())
    at = data.index(b"JFIF\0")
    data[at + 7] = 0  # no unit
    assert decode(bytes(data), "a", LIMIT).metadata.dpi == (240, 120)


def test_traits_are_plain_values() -> None:
    traits = decode(jpeg(quality=75), "a", LIMIT).metadata.jpeg
    assert isinstance(traits, JpegTraits)
    assert (traits.sampling, len(traits.tables), traits.progressive) == ((2, 2), 2, False)
    assert Metadata.from_wire(Metadata("jpeg", jpeg=traits).to_wire()).jpeg == traits
