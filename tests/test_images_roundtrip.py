"""A photo comes back from its file as it went in: pixels, depth, alpha and metadata."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from retouchd.errors import OutOfMemory, TooLarge, Unsupported
from retouchd.images import (
    Metadata,
    Photo,
    decode,
    decode_parts,
    encode,
    extension,
    is_lossless,
    read_header,
)

LIMIT = 10_000_000
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
RGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_ICC = RGB_ICC[:16] + b"GRAY" + RGB_ICC[20:]


def pixels_of(channels: int, depth: int, height: int = 23, width: int = 31) -> np.ndarray:
    """Smooth colour with a little noise and a varying alpha, so that lossy codecs stay close."""
    rng = np.random.default_rng(channels * 100 + depth)
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 4 + 60, y * 6 + 40, (x + y) * 3 + 20, 255 - x * 8 % 256][:channels]
    if channels == 2:
        planes[1] = 255 - x * 8 % 256
    eight = np.clip(np.dstack(planes) + rng.integers(0, 3, (height, width, channels)), 0, 255)
    if depth == 8:
        return eight.astype(np.uint8)
    low = rng.integers(0, 256, eight.shape)
    return (eight * 256 + low).astype(np.uint16)


def exif_block() -> bytes:
    block = Image.Exif()
    block[0x010F] = "Acme"
    block[0x0110] = "Camera 1"
    block[0x8298] = "(c) someone"
    block.get_ifd(0x8769)[0x829A] = 0.005
    block.get_ifd(0x8769)[0x927C] = b"maker" * 20
    block.get_ifd(0x8825)[0x0001] = "N"
    return block.tobytes()[6:]


def rich(format: str, depth: int, channels: int) -> Metadata:
    return Metadata(
        format=format,
        bit_depth=depth,
        exif=exif_block(),
        icc=GRAY_ICC if channels <= 2 else RGB_ICC,
        xmp=XMP,
        dpi=(300.0, 150.0),
        iptc=b"\x1c\x02\x78\x00\x07caption",
        tiff_compression=5,
        webp_lossless=True,
    )


def tags(block: bytes | None) -> dict[object, object]:
    """All EXIF tags that say something, by directory."""
    assert block is not None
    found = Image.Exif()
    found.load(block)
    out: dict[object, object] = {k: v for k, v in found.items() if k not in (0x8769, 0x8825, 0x112)}
    for directory in (0x8769, 0x8825):
        out |= {(directory, k): v for k, v in found.get_ifd(directory).items()}
    return out


def again(photo: Photo, **options: object) -> Photo:
    return decode(encode(photo, **options).data, "photo", LIMIT)  # type: ignore[arg-type]


LOSSLESS = [
    *[("png", c, d) for c in (1, 2, 3, 4) for d in (8, 16)],
    *[("tiff", c, d) for c in (1, 2, 3, 4) for d in (8, 16)],
    *[("bmp", c, 8) for c in (1, 3, 4)],
    *[("webp", c, 8) for c in (3, 4)],
]


@pytest.mark.parametrize(("format", "channels", "depth"), LOSSLESS)
def test_a_lossless_format_keeps_every_pixel_and_all_its_metadata(
    format: str, channels: int, depth: int
) -> None:
    photo = Photo(pixels_of(channels, depth), rich(format, depth, channels))
    assert is_lossless(photo)
    back = again(photo)
    assert back.pixels.dtype == photo.pixels.dtype
    assert back.pixels.flags.c_contiguous
    np.testing.assert_array_equal(back.pixels, photo.pixels)
    assert back.metadata.bit_depth == depth
    if format != "bmp":
        assert back.metadata.icc == photo.metadata.icc
        assert back.metadata.xmp == XMP
        assert tags(back.metadata.exif) == tags(exif_block())
    if format != "webp":
        assert back.metadata.dpi == pytest.approx((300, 150), abs=0.02)
    if format == "tiff":
        assert back.metadata.iptc == photo.metadata.iptc
    twice = again(back)
    assert twice.metadata == back.metadata, "a second round trip changes nothing at all"


@pytest.mark.parametrize(("channels", "depth"), [(c, d) for c in (1, 2, 3, 4) for d in (8, 16)])
def test_other_programs_read_the_same_16_bit_tiff_and_png(channels: int, depth: int) -> None:
    photo = Photo(pixels_of(channels, depth), rich("tiff", depth, channels))
    plain = replace(photo, metadata=replace(photo.metadata, tiff_compression=8))
    theirs = tifffile.imread(io.BytesIO(encode(plain).data))
    np.testing.assert_array_equal(theirs.reshape(photo.pixels.shape), photo.pixels)
    data = np.frombuffer(encode(photo, format="png").data, np.uint8)
    png = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if channels in (1, 3):
        np.testing.assert_array_equal(png.reshape(photo.pixels.shape)[..., ::-1], photo.pixels)
    elif depth == 16 or channels == 4:
        ours = photo.pixels[..., [2, 1, 0, 3] if channels == 4 else [0, 0, 0, 1]]
        np.testing.assert_array_equal(png, ours)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773, 34925, 50000])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiff_keeps_its_kind_of_compression(compression: int, depth: int) -> None:
    metadata = replace(rich("tiff", depth, 3), tiff_compression=compression)
    photo = Photo(pixels_of(3, depth), metadata)
    made = encode(photo)
    assert made.notes == ()
    back = decode(made.data, "photo", LIMIT)
    assert back.metadata.tiff_compression == compression
    np.testing.assert_array_equal(back.pixels, photo.pixels)


def test_a_jpeg_inside_a_tiff_becomes_deflate_with_a_note() -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels_of(3, 8)).save(stream, "TIFF", compression="jpeg")
    photo = decode(stream.getvalue(), "scan.tif", LIMIT)
    made = encode(photo)
    assert made.notes == ("the TIFF's compression became deflate",)
    np.testing.assert_array_equal(decode(made.data, "photo", LIMIT).pixels, photo.pixels)


LAYOUTS = {
    "big-endian": {"byteorder": ">"},
    "tiles": {"tile": (16, 16)},
    "planes": {"planarconfig": "separate"},
    "tiled planes": {"planarconfig": "separate", "tile": (16, 16)},
    "one row per strip": {"rowsperstrip": 1},
    "uneven strips": {"rowsperstrip": 7},
    "deflate, predictor": {"compression": "zlib", "predictor": True},
    "deflate, tiles, predictor": {"compression": "zlib", "tile": (16, 32), "predictor": True},
    "lzma": {"compression": "lzma", "rowsperstrip": 5},
    "BigTIFF": {"bigtiff": True},
    "big-endian BigTIFF": {"bigtiff": True, "byteorder": ">"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_tiffs_of_every_layout_are_read_exactly(layout: str, channels: int) -> None:
    pixels = pixels_of(channels, 16)
    options: dict[str, object] = dict(LAYOUTS[layout])
    if channels == 1:
        options.pop("planarconfig", None)
        given = pixels[..., 0]
    elif "planarconfig" in options:
        given = np.moveaxis(pixels, 2, 0)
    else:
        given = pixels
    if channels == 2 and "planarconfig" not in options:
        options["planarconfig"] = "contig"
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        np.ascontiguousarray(given),
        photometric="rgb" if channels >= 3 else "minisblack",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        metadata=None,
        **options,
    )
    np.testing.assert_array_equal(decode(stream.getvalue(), "a.tif", LIMIT).pixels, pixels)


def test_a_16_bit_tiff_with_white_as_zero_is_not_inverted() -> None:
    stream = io.BytesIO()
    pixels = pixels_of(1, 16)[..., 0]
    tifffile.imwrite(stream, 65535 - pixels, photometric="miniswhite", metadata=None)
    np.testing.assert_array_equal(decode(stream.getvalue(), "a", LIMIT).pixels[..., 0], pixels)


def test_premultiplied_16_bit_alpha_becomes_straight() -> None:
    stream = io.BytesIO()
    pixels = np.array([[[1000, 2000, 3000, 32768], [9, 9, 9, 0], [65535, 5, 0, 65535]]], np.uint16)
    tifffile.imwrite(stream, pixels, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    expected = [[2000, 4000, 6000, 32768], [0, 0, 0, 0], [65535, 5, 0, 65535]]
    np.testing.assert_allclose(decode(stream.getvalue(), "a", LIMIT).pixels[0], expected, atol=1)


def test_a_channel_that_is_not_alpha_is_left_out_with_a_note() -> None:
    stream = io.BytesIO()
    pixels = pixels_of(4, 16)
    tifffile.imwrite(stream, pixels, photometric="rgb", extrasamples=["unspecified"], metadata=None)
    photo = decode(stream.getvalue(), "a", LIMIT)
    np.testing.assert_array_equal(photo.pixels, pixels[..., :3])
    assert photo.notes == ("the extra channels of the TIFF were not kept",)


CLOSE = [
    *[("jpeg", c, 8) for c in (1, 3)],
    *[("webp", c, 8) for c in (1, 2, 3, 4)],
    *[("avif", c, 8) for c in (1, 2, 3, 4)],
    *[("avif", c, 10) for c in (1, 3, 4)],
    *[("avif", c, 12) for c in (1, 3, 4)],
]


@pytest.mark.parametrize(("format", "channels", "depth"), CLOSE)
def test_a_lossy_format_stays_close_and_keeps_its_metadata(
    format: str, channels: int, depth: int
) -> None:
    metadata = replace(rich(format, depth, channels), webp_lossless=False)
    photo = Photo(pixels_of(channels, 8 if depth == 8 else 16), metadata)
    assert not is_lossless(photo)
    back = again(photo, quality=95)
    shown = photo.pixels
    if format == "webp" and channels <= 2:
        shown = shown[..., [0, 0, 0, 1][: channels + 2]]
    assert back.pixels.shape == shown.shape
    assert back.pixels.dtype == shown.dtype
    far = np.abs(back.pixels.astype(float) - shown.astype(float)).mean()
    assert far < 4 * (1 if depth == 8 else 257)
    assert back.metadata.bit_depth == depth
    assert back.metadata.xmp == XMP
    assert tags(back.metadata.exif) == tags(exif_block())
    if not (format == "webp" and channels <= 2):
        assert back.metadata.icc == photo.metadata.icc
    if format == "jpeg":
        assert back.metadata.dpi == (300, 150)
        assert back.metadata.iptc == metadata.iptc


def test_deep_gray_avif_with_alpha_comes_back_as_rgba_without_its_gray_profile() -> None:
    photo = Photo(pixels_of(2, 16), rich("avif", 12, 2))
    made = encode(photo, quality=95)
    assert any("profile" in note for note in made.notes)
    back = decode(made.data, "a", LIMIT)
    far = np.abs(back.pixels.astype(float) - photo.pixels[..., [0, 0, 0, 1]]).mean()
    assert far < 4 * 257


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_what_it_was(lossless: bool) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels_of(3, 8)).save(stream, "WEBP", lossless=lossless)
    photo = decode(stream.getvalue(), "a.webp", LIMIT)
    assert photo.metadata.webp_lossless is lossless
    assert is_lossless(photo) is lossless
    assert again(photo).metadata.webp_lossless is lossless


def test_lossless_webp_keeps_the_colour_below_full_transparency() -> None:
    pixels = pixels_of(4, 8)
    pixels[:9, :, 3] = 0
    photo = Photo(pixels, Metadata("webp", webp_lossless=True))
    np.testing.assert_array_equal(again(photo).pixels, pixels)


# --- kinds of stored pixels ---------------------------------------------------------------------


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_a_palette_becomes_rgb(format: str) -> None:
    image = Image.fromarray(pixels_of(3, 8)).quantize(40)
    photo = decode(saved(image, format), "a", LIMIT)
    np.testing.assert_array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    header = read_header(io.BytesIO(saved(image, format)), "a")
    assert (header.mode, header.channels) == ("palette", 3)
    np.testing.assert_array_equal(again(photo).pixels, photo.pixels)


def test_a_palette_with_transparency_becomes_rgba() -> None:
    image = Image.fromarray(pixels_of(3, 8)).quantize(40)
    data = saved(image, "PNG", transparency=bytes(range(0, 240, 6)))
    photo = decode(data, "a", LIMIT)
    assert photo.pixels.shape[2] == 4
    assert read_header(io.BytesIO(data), "a").channels == 4
    np.testing.assert_array_equal(photo.pixels[..., 3], np.asarray(image) * 6)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_gray(format: str) -> None:
    image = Image.fromarray(pixels_of(1, 8)[..., 0]).convert("1")
    photo = decode(saved(image, format), "a", LIMIT)
    expected = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(photo.pixels[..., 0], expected)
    assert set(np.unique(photo.pixels)) == {0, 255}


def png_of(width: int, height: int, depth: int, colour: int, raw: bytes, *extra: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    key = b"".join(chunk(b"tRNS", body) for body in extra)
    return (
        b"\x89PNG\r\n\x1a\n"
        + start
        + key
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("depth", "colour", "raw", "key", "expected"),
    [
        (4, 0, b"\x00\x3f", b"\0\x03", [[51, 0], [255, 255]]),
        (8, 0, b"\x00\x07\x09", b"\0\x07", [[7, 0], [9, 255]]),
        (16, 0, b"\x00\x01\x02\x01\x03", b"\x01\x02", [[258, 0], [259, 65535]]),
        (8, 2, b"\x00\1\2\3\1\2\4", b"\0\1\0\2\0\3", [[1, 2, 3, 0], [1, 2, 4, 255]]),
        (
            16,
            2,
            b"\x00\1\1\1\2\1\3\1\1\1\2\1\4",
            b"\1\1\1\2\1\3",
            [[257, 258, 259, 0], [257, 258, 260, 65535]],
        ),
    ],
)
def test_a_colour_key_becomes_alpha(
    depth: int, colour: int, raw: bytes, key: bytes, expected: list[list[int]]
) -> None:
    data = png_of(2, 1, depth, colour, raw, key)
    photo = decode(data, "a.png", LIMIT)
    assert photo.pixels[0].tolist() == expected
    assert read_header(io.BytesIO(data), "a").has_alpha
    np.testing.assert_array_equal(again(photo).pixels, photo.pixels)


def test_colour_chunks_and_texts_of_a_png_are_kept() -> None:
    texts = PngInfo()
    texts.add_text("Title", "A title")
    texts.add_itxt("Author", "Jürgen 山")
    texts.add(b"gAMA", struct.pack(">I", 45455))
    texts.add(b"sRGB", b"\0")
    data = saved(Image.fromarray(pixels_of(3, 8)), "PNG", pnginfo=texts)
    with Image.open(io.BytesIO(encode(decode(data, "a", LIMIT)).data)) as image:
        image.load()
        assert image.info["Title"] == "A title"
        assert image.info["Author"] == "Jürgen 山"
        assert image.info["gamma"] == pytest.approx(0.45455)
        assert image.info["srgb"] == 0


# --- changing the format ------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif"])
@pytest.mark.parametrize("source", ["png", "jpeg", "webp", "tiff", "bmp", "avif"])
def test_every_format_can_be_turned_into_every_target(source: str, target: str) -> None:
    photo = Photo(pixels_of(3, 8), rich(source, 8, 3))
    made = encode(photo, format=target)  # type: ignore[arg-type]
    assert made.extension == extension(target)
    back = decode(made.data, "photo", LIMIT)
    assert back.metadata.format == target
    assert back.metadata.icc == RGB_ICC
    assert tags(back.metadata.exif) == tags(exif_block())
    far = np.abs(back.pixels.astype(int) - photo.pixels).mean()
    assert far == 0 if target == "png" else far < 5


def test_alpha_into_jpeg_is_refused_with_advice() -> None:
    with pytest.raises(Unsupported) as caught:
        encode(Photo(pixels_of(4, 8), Metadata("png")), format="jpeg", name="cut.png")
    assert "cut.png" in caught.value.message
    assert "output.format" in caught.value.advice


@pytest.mark.parametrize("target", ["jpeg", "webp"])
def test_16_bits_are_rounded_with_a_note(target: str) -> None:
    photo = Photo(pixels_of(3, 16), Metadata("png", bit_depth=16))
    made = encode(photo, format=target, quality=100)  # type: ignore[arg-type]
    assert "16 bits were rounded to 8" in made.notes[0]
    back = decode(made.data, "a", LIMIT)
    assert np.abs(back.pixels - photo.pixels / 257).mean() < 4


def test_16_bits_become_10_in_avif_with_a_note() -> None:
    photo = Photo(pixels_of(3, 16), Metadata("png", bit_depth=16))
    made = encode(photo, format="avif")
    assert made.notes == ("16 bits were rounded to 10 for AVIF",)
    assert decode(made.data, "a", LIMIT).metadata.bit_depth == 10


def test_a_gray_profile_is_not_put_on_colour() -> None:
    photo = Photo(pixels_of(1, 8), Metadata("png", icc=GRAY_ICC))
    assert encode(photo).notes == ()
    made = encode(photo, format="webp")
    assert "profile" in made.notes[0]
    assert decode(made.data, "a", LIMIT).metadata.icc is None


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "avif"])
def test_stripping_leaves_only_the_colour_profile(format: str) -> None:
    photo = Photo(pixels_of(3, 8), rich(format, 8, 3))
    kept = again(photo, strip_metadata=True).metadata
    assert kept.icc == RGB_ICC
    assert (kept.exif, kept.xmp, kept.iptc, kept.dpi, kept.comment) == (None,) * 5


def test_metadata_too_large_for_a_jpeg_is_left_out_with_a_note() -> None:
    photo = Photo(pixels_of(3, 8), Metadata("png", xmp=XMP + b" " * 70_000))
    made = encode(photo, format="jpeg")
    assert "XMP" in made.notes[0]
    assert decode(made.data, "a", LIMIT).metadata.xmp is None


@pytest.mark.parametrize("format", ["tiff", "avif"])
def test_a_result_is_not_lost_to_metadata_that_a_library_refuses(format: str) -> None:
    photo = Photo(pixels_of(3, 8), Metadata(format, exif=b"no TIFF structure at all"))
    made = encode(photo)
    assert made.notes[-1] == "the metadata was damaged and is not kept"
    assert decode(made.data, "a", LIMIT).metadata.exif is None


def test_metadata_crosses_a_process_border_as_json() -> None:
    import json

    stream = io.BytesIO()
    Image.fromarray(pixels_of(3, 8)).save(
        stream, "JPEG", comment=b"hi", exif=b"Exif\0\0" + exif_block()
    )
    metadata = replace(decode(stream.getvalue(), "a", LIMIT).metadata, chunks=(("tEXt", b"a\0b"),))
    assert Metadata.from_wire(json.loads(json.dumps(metadata.to_wire()))) == metadata


# --- the limit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "bmp", "avif"])
def test_a_picture_over_the_limit_is_refused_by_its_header(format: str) -> None:
    data = encode(Photo(pixels_of(3, 8), Metadata(format, webp_lossless=True))).data
    assert decode(data, "a", 23 * 31).pixels.shape == (23, 31, 3)
    with pytest.raises(TooLarge) as caught:
        decode(data, "big one", 23 * 31 - 1)
    assert "31 × 23" in caught.value.message
    assert "limits.max_pixels" in caught.value.advice


def test_a_decompression_bomb_costs_nothing() -> None:
    data = png_of(60_000, 60_000, 8, 2, b"")
    with pytest.raises(TooLarge):
        decode(data, "bomb.png", 200_000_000)


def test_pillows_own_limit_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for format in ("png", "jpeg", "webp", "tiff", "bmp", "avif"):
        for channels in (1, 3):
            data = encode(Photo(pixels_of(channels, 8), Metadata(format))).data
            assert decode(data, "a", LIMIT).pixels.shape[:2] == (23, 31)


def test_running_out_of_memory_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cv2, "imdecode", no_memory)
    data = saved(Image.fromarray(pixels_of(3, 8)), "PNG")
    with pytest.raises(OutOfMemory):
        decode(data, "a.png", LIMIT)


# --- in parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("packing", [1, 5, 8, 32773, 34925, 50000])
def test_a_tall_tiff_is_written_and_read_in_parts_without_a_seam(
    packing: int, depth: int, channels: int
) -> None:
    """Strips of 64 KB, some at a time; the last ones are shorter."""
    rows = np.random.default_rng(packing).integers(0, 256, (3001, 20, channels), np.uint8)
    pixels = np.repeat(rows, 20, axis=1)
    pixels = pixels if depth == 8 else pixels.astype(np.uint16) * 257
    data = encode(Photo(pixels, Metadata("tiff", tiff_compression=packing))).data
    np.testing.assert_array_equal(decode(data, "a.tif", 10**7).pixels, pixels)
    parts = list(decode_parts(data, "a.tif", 10**7))
    np.testing.assert_array_equal(np.concatenate(parts), pixels)


def test_only_what_lies_in_strips_comes_in_parts() -> None:
    pixels = np.zeros((4000, 300, 3), np.uint16)
    tall = encode(Photo(pixels, Metadata("tiff"))).data
    assert len(list(decode_parts(tall, "a.tif", 10**7))) > 1
    assert len(list(decode_parts(encode(Photo(pixels, Metadata("png"))).data, "a", 10**7))) == 1
    with pytest.raises(TooLarge):
        next(decode_parts(tall, "a.tif", 1000))
