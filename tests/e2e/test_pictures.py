"""What comes out, picture by picture: the same but for the hole, or a clear refusal."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from helpers.studio import deep_file, file

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
HEIGHT, WIDTH = 120, 168
HOLE = (slice(10, 40), slice(15, 60))
"""Off the middle, so that a turned or mirrored result can't pass."""
GROWN = (slice(0, 50), slice(5, 70))
ORIENTATION, MAKE, DATE = 0x112, 0x10F, 0x132
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
UNSAFE = {
    "a:b?.png": "a_b_.png",
    "CON.png": "_CON.png",
    "aux.final.png": "_aux.final.png",
    "tab\there.png": "tab_here.png",
    'quote"<>|*.png': "quote_____.png",
    "dots./inside.png": "dots/inside.png",
    "blank /inside.png": "blank/inside.png",
}
FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif"}


def photo(channels: int = 3, depth: int = 8) -> np.ndarray:
    """Smooth colours, [120, 168, channels], RGB order; alpha varies."""
    rng = np.random.default_rng(channels * depth)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5).reshape(noise.shape)
    eight = cv2.normalize(smooth, None, 20, 235, cv2.NORM_MINMAX).reshape(noise.shape)
    if depth == 8:
        return eight
    return eight.astype(np.uint16) * 256 + rng.integers(0, 256, eight.shape, np.uint16)


def hole() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[HOLE] = 255
    return mask


def outside() -> np.ndarray:
    """What may not change: the hole is grown by 10 px."""
    known = np.ones((HEIGHT, WIDTH), bool)
    known[GROWN] = False
    return known


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.squeeze(pixels), **options)
    return stream.getvalue()


def decoded(data: bytes, name: str) -> np.ndarray:
    """[H, W, C] in RGB order, by a reader that is not ours."""
    if name.endswith(".tif"):
        pixels = tifffile.imread(io.BytesIO(data))
        return pixels.reshape(*pixels.shape[:2], -1)
    if "16" in name:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        pixels = pixels.reshape(*pixels.shape[:2], -1)
        return pixels[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]]
    with Image.open(io.BytesIO(data)) as image:
        plain = image.convert("RGB") if image.mode == "P" else image
        return np.asarray(plain).reshape(plain.height, plain.width, -1)


LOSSLESS = {
    "gray.png": lambda: file(photo(1)),
    "rgb.png": lambda: file(photo(3)),
    "rgba.png": lambda: file(photo(4)),
    "gray-alpha.png": lambda: file(Image.fromarray(photo(2), "LA")),
    "palette.png": lambda: file(Image.fromarray(photo(3)).quantize(64)),
    "gray16.png": lambda: deep_file(photo(1, 16), ".png"),
    "rgb16.png": lambda: deep_file(photo(3, 16), ".png"),
    "rgba16.png": lambda: deep_file(photo(4, 16), ".png"),
    "plain.tif": lambda: tiff(photo(3), photometric="rgb"),
    "packed.tif": lambda: tiff(photo(3), photometric="rgb", compression="zlib"),
    "gray.tif": lambda: tiff(photo(1)),
    "deep.tif": lambda: tiff(photo(3, 16), photometric="rgb"),
    "gray-deep.tif": lambda: tiff(photo(1, 16)),
    "photo.bmp": lambda: file(photo(3), "BMP"),
    "lossless.webp": lambda: file(photo(3), "WEBP", lossless=True),
    "lossless-alpha.webp": lambda: file(photo(4), "WEBP", lossless=True, exact=True),
}


def camera_exif(orientation: int = 1) -> Image.Exif:
    block = Image.Exif()
    block[MAKE], block[DATE], block[ORIENTATION] = "Acme", "2026:11:21 10:00:00", orientation
    return block


def camera_jpeg(**options: Any) -> bytes:
    return file(photo(), "JPEG", exif=camera_exif(), icc_profile=ICC, dpi=(300, 300), **options)


JPEGS = {
    "half.jpg": {"quality": 77, "subsampling": 1},
    "quarter.jpg": {"quality": 50, "subsampling": 2},
    "full.jpg": {"quality": 96, "subsampling": 0},
    "progressive.jpg": {"quality": 85, "progressive": True},
}


def turned(upright: np.ndarray, orientation: int) -> Image.Image:
    """The picture as a camera stores it that was held that way."""
    image = Image.fromarray(upright)
    return image.transpose(STORED[orientation]) if orientation > 1 else image


@dataclass
class Shop:
    """Lanes after a run."""

    lanes: dict[str, Any]
    jobs: dict[tuple[str, str], dict[str, Any]]
    process: Any

    def output(self, lane: str, name: str) -> bytes:
        return next(self.lanes[lane].outbox.glob("*/" + name)).read_bytes()

    def refusal(self, lane: str, name: str) -> str:
        """The text beside a refused photo; its originals lie there untouched."""
        spool = self.lanes[lane]
        assert self.jobs[lane, name]["state"] == "quarantined"
        assert not list(spool.outbox.glob("*/" + Path(name).stem + ".*"))
        there = spool.digests(spool.failed)
        stem = Path(name).stem
        own = [n for n in spool.dropped if n in (name, f"{stem}_mask.png")]
        assert {n: there[n] for n in own} == {n: spool.dropped[n] for n in own}
        text = next(spool.failed.glob(f"*/{name}.error.txt")).read_bytes().decode()
        return re.sub(r"\s+", " ", text)


LANES: dict[str, dict[str, Any]] = {
    "keep": {},
    "turned": {},
    "names": {},
    "strip": {"output": {"strip_metadata": True}},
    "png": {"output": {"format": "png"}},
    "jpeg": {"output": {"format": "jpeg", "quality": 40}},
    "webp": {"output": {"format": "webp", "quality": 50}},
    "avif": {"output": {"format": "avif", "quality": 60}},
    "dated": {"output": {"path": "outputs_{date:%Y%m%d%H%M%S}/{stem}.png"}},
    "refuse": {},
    "strict": {"mask": {"max_coverage": 0.05}},
    "invert": {"mask": {"invert": True}},
    "resize": {"mask": {"resize": True}},
    "small": {"limits": {"max_pixels": "0.02MP"}},
    "light": {"limits": {"max_bytes": "5KB"}},
}


@pytest.fixture(scope="module")
def shop(make_lanes) -> Shop:
    """One run of `once` over every kind of picture."""
    shop = make_lanes(log={"format": "json"}, scan={"incomplete_after": "1s"})
    lanes = {name: shop.lane(name, **options) for name, options in LANES.items()}
    for fill in (fill_kept, fill_turned, fill_converted, fill_masks, fill_refused):
        fill(lanes)
    for number, name in enumerate(UNSAFE):
        pair(lanes["names"], name, file(np.roll(photo(), number, axis=1)))
    process = shop.once()
    jobs = {(job["lane"], job["name"]): job for job in shop.jobs()}
    return Shop(lanes, jobs, process)


def pair(spool: Any, name: str, data: bytes, mask: np.ndarray | bytes | None = None) -> None:
    stem = name.rsplit(".", 1)[0]
    spool.drop(name, data)
    spool.drop(f"{stem}_mask.png", hole() if mask is None else mask)


def fill_kept(lanes: dict[str, Any]) -> None:
    for name, make in LOSSLESS.items():
        lanes["keep"].drop(name, make())
        lanes["keep"].drop(f"{name}.mask.png", hole())
    for name, options in JPEGS.items():
        pair(lanes["keep"], name, camera_jpeg(**options))
    pair(lanes["keep"], "dark.jpg", file(photo(1), "JPEG", quality=80))


def fill_turned(lanes: dict[str, Any]) -> None:
    for k in range(1, 9):
        exif = camera_exif(k)
        pair(lanes["turned"], f"jpeg{k}.jpg", file(turned(photo(), k), "JPEG", exif=exif))
        both = file(turned(hole(), k), exif=exif)
        pair(lanes["turned"], f"both{k}.png", file(turned(photo(), k), exif=exif), both)


def fill_converted(lanes: dict[str, Any]) -> None:
    for format in FORMATS:
        pair(lanes[format], "picture.png", file(photo(), dpi=(300, 300)))
    for quality in (10, 95):
        name = f"q{quality}.jpg"
        pair(lanes["png"], name, file(photo(), "JPEG", quality=quality))
    pair(lanes["strip"], "secret.jpg", camera_jpeg(quality=90))
    pair(lanes["dated"], "first.jpg", camera_jpeg(quality=90))
    pair(lanes["dated"], "sub/second.png", file(photo()))


def fill_masks(lanes: dict[str, Any]) -> None:
    pair(lanes["keep"], "empty.jpg", camera_jpeg(quality=81), np.zeros_like(hole()))
    painted = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    painted[HOLE] = (255, 0, 0, 255)
    pair(lanes["keep"], "painted.png", file(photo()), file(painted))
    pair(lanes["invert"], "negative.png", file(photo()), 255 - hole())
    half = cv2.resize(hole(), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_NEAREST)
    pair(lanes["resize"], "scaled.png", file(photo()), half)
    pair(lanes["refuse"], "half.png", file(photo()), half)
    pair(lanes["refuse"], "sideways.png", file(photo()), np.ascontiguousarray(hole().T))
    pair(lanes["refuse"], "inverted.png", file(photo()), 255 - hole())
    pair(lanes["refuse"], "all.png", file(photo()), np.full_like(hole(), 255))
    pair(lanes["strict"], "most.png", file(photo()))


def fill_refused(lanes: dict[str, Any]) -> None:
    refuse = lanes["refuse"]
    cmyk = Image.fromarray(photo(4), "CMYK")
    pair(refuse, "cmyk.jpg", file(cmyk, "JPEG"))
    pair(refuse, "print.tif", file(cmyk, "TIFF"))
    frames = [Image.fromarray(np.roll(photo(), 9 * i, axis=0)) for i in range(3)]
    more = {"save_all": True, "append_images": frames[1:]}
    pair(refuse, "moving.webp", file(frames[0], "WEBP", **more))
    pair(refuse, "frames.png", file(frames[0], "PNG", **more))
    pair(refuse, "pages.tif", file(frames[0], "TIFF", **more))
    pair(refuse, "disguised.jpg", file(frames[0], "GIF"))
    pair(lanes["small"], "fits.png", file(photo()[:100, :160]), hole()[:100, :160])
    pair(lanes["small"], "over.png", file(photo()))
    pair(lanes["light"], "over.png", file(photo()))
    pair(lanes["light"], "fits.jpg", file(photo(), "JPEG", quality=30))


@pytest.mark.parametrize("name", LOSSLESS)
def test_pixels_outside_the_mask_are_identical(shop, name):
    before = decoded(LOSSLESS[name](), name)
    after = decoded(shop.output("keep", name), name)
    if name == "palette.png":
        after = after[..., :3]
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    assert (after == before)[outside()].all()
    colours = 3 if after.shape[2] >= 3 else 1
    assert (after != before)[HOLE][..., :colours].any()
    if after.shape[2] in (2, 4):
        assert (after[..., -1] == before[..., -1]).all()


@pytest.mark.parametrize("name", [*JPEGS, "dark.jpg"])
def test_a_jpeg_keeps_its_quality_and_its_kind(shop, name):
    spool = shop.lanes["keep"]
    original = next(spool.archive.glob("*/" + name)).read_bytes()
    with Image.open(io.BytesIO(original)) as before:
        with Image.open(io.BytesIO(shop.output("keep", name))) as after:
            assert after.format == "JPEG"
            assert after.quantization == before.quantization
            assert after.layer == before.layer, "the chroma subsampling"
            assert after.info.get("progressive") == before.info.get("progressive")
            assert (after.mode, after.size) == (before.mode, before.size)
            difference = np.abs(np.asarray(after).astype(int) - np.asarray(before))
    assert difference[outside()].mean() < 2
    assert difference[HOLE].mean() > 3


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_keeps_exif_colour_profile_and_resolution(shop, name):
    with Image.open(io.BytesIO(shop.output("keep", name))) as after:
        exif = after.getexif()
        assert (exif[MAKE], exif[DATE]) == ("Acme", "2026:11:21 10:00:00")
        assert after.info["icc_profile"] == ICC
        assert after.info["dpi"] == (300, 300)


@pytest.mark.parametrize("kind", ["jpeg", "both"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_made_upright_once(shop, kind, orientation):
    """An upright mask, and one that is turned by the same tag, both mean the same place."""
    name = f"{kind}{orientation}" + {"jpeg": ".jpg", "both": ".png"}[kind]
    with Image.open(io.BytesIO(shop.output("turned", name))) as after:
        assert after.size == (WIDTH, HEIGHT)
        assert after.getexif().get(ORIENTATION, 1) == 1
        assert after.getexif()[MAKE] == "Acme"
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(after)), np.asarray(after))
        difference = np.abs(np.asarray(after).astype(int) - photo()).max(axis=2)
    assert difference[outside()].mean() < (6 if kind == "jpeg" else 0.001)
    assert difference[HOLE].mean() > 12


def test_metadata_can_be_left_out_but_colours_stay(shop):
    data = shop.output("strip", "secret.jpg")
    with Image.open(io.BytesIO(data)) as after:
        assert not dict(after.getexif())
        assert after.info["icc_profile"] == ICC
    assert b"Acme" not in data


@pytest.mark.parametrize("format", FORMATS)
def test_the_output_format_can_be_chosen(shop, format):
    data = shop.output(format, "picture" + FORMATS[format])
    with Image.open(io.BytesIO(data)) as after:
        assert after.format == format.upper()
        difference = np.abs(np.asarray(after.convert("RGB")).astype(int) - photo())
    assert difference[outside()].mean() < (0.001 if format == "png" else 8)
    assert difference[HOLE].mean() > 3


def test_the_chosen_quality_counts(shop):
    with Image.open(io.BytesIO(shop.output("jpeg", "picture.jpg"))) as after:
        reference = Image.open(io.BytesIO(file(photo(), "JPEG", quality=40)))
        assert after.quantization == reference.quantization
    lossless = len(shop.output("png", "picture.png"))
    for format in ("jpeg", "webp", "avif"):
        assert len(shop.output(format, "picture" + FORMATS[format])) < lossless / 4


def test_a_jpeg_becomes_a_png_without_any_further_loss(shop):
    for quality in (10, 95):
        before = decoded(file(photo(), "JPEG", quality=quality), "a.jpg")
        after = decoded(shop.output("png", f"q{quality}.png"), "a.png")
        assert (after == before)[outside()].all()


def test_a_template_with_a_fixed_ending_makes_files_of_that_kind(shop):
    outbox = shop.lanes["dated"].outbox
    found = sorted(p for p in outbox.rglob("*.png"))
    assert sorted(p.name for p in found) == ["first.png", "second.png"]
    for path in found:
        assert re.fullmatch(r"outputs_\d{14}", path.parent.name)
        with Image.open(path) as image:
            assert image.format == "PNG"


def test_an_empty_mask_gives_the_very_same_file_and_says_so(shop):
    assert shop.output("keep", "empty.jpg") == camera_jpeg(quality=81)
    notes = shop.jobs["keep", "empty.jpg"]["notes"]
    assert any("mask is empty" in note for note in notes)
    lines = [json.loads(line) for line in shop.process.stderr.splitlines() if line[:1] == "{"]
    said = [line for line in lines if line.get("file") == "empty.jpg"]
    assert any("mask is empty" in json.dumps(line) for line in said)


@pytest.mark.parametrize(
    ("lane", "name"),
    [("keep", "painted.png"), ("invert", "negative.png"), ("resize", "scaled.png")],
)
def test_a_mask_may_be_painted_on_a_layer_inverted_or_scaled_if_the_lane_says_so(shop, lane, name):
    after = decoded(shop.output(lane, name), name)
    assert (after == photo())[outside()].all()
    assert (after != photo())[HOLE].any()
    assert shop.jobs[lane, name]["notes"]


@pytest.mark.parametrize(
    ("lane", "name", "why", "remedy"),
    [
        ("refuse", "half.png", "84 × 60", "mask.resize: true"),
        ("refuse", "sideways.png", "120 × 168", "Width and height are swapped"),
        ("refuse", "inverted.png", "looks inverted", "mask.invert: true"),
        ("refuse", "all.png", "covers 100.0%", "White means remove"),
        ("strict", "most.png", "this lane allows 5%", "mask.max_coverage"),
        ("refuse", "cmyk.jpg", "CMYK", "RGB"),
        ("refuse", "print.tif", "CMYK", "RGB"),
        ("refuse", "moving.webp", "animat", "single picture"),
        ("refuse", "frames.png", "animat", "single picture"),
        ("refuse", "pages.tif", "pages", "page"),
        ("refuse", "disguised.jpg", "GIF", "Export it as"),
        ("small", "over.png", "over this lane's limit", "limits.max_pixels"),
        ("light", "over.png", "over this lane's limit", "limits.max_bytes"),
    ],
)
def test_what_can_not_be_done_is_refused_in_plain_words(shop, lane, name, why, remedy):
    text = shop.refusal(lane, name)
    assert why in text.partition("What to do:")[0]
    assert remedy in text.partition("What to do:")[2]
    assert "Traceback" not in text
    assert f"retouchd retry {shop.jobs[lane, name]['id']}" in text


def test_what_is_within_the_limits_is_done(shop):
    assert shop.output("small", "fits.png")
    assert shop.output("light", "fits.jpg")


@pytest.mark.parametrize("name", UNSAFE)
def test_names_become_safe_for_windows_in_the_outbox_only(shop, name):
    spool = shop.lanes["names"]
    number = list(UNSAFE).index(name)
    after = decoded(shop.output("names", UNSAFE[name]), ".png")
    assert (after == np.roll(photo(), number, axis=1))[outside()].all()
    assert spool.digests(spool.archive)[name] == spool.dropped[name]


def test_nothing_is_left_over_or_lost(shop):
    """Every drop is in the archive or in quarantine, and every good pair has one output."""
    assert shop.process.returncode == 3
    assert shop.process.stderr.count("Traceback") == 0
    for spool in shop.lanes.values():
        assert spool.files(spool.inbox) == []
        kept = {**spool.digests(spool.archive), **spool.digests(spool.failed)}
        assert spool.dropped.items() <= kept.items()
        outputs = [job for job in shop.jobs.values() if job["lane"] == spool.root.name]
        assert len(spool.files(spool.outbox)) == sum(job["state"] == "done" for job in outputs)


# --- real photos --------------------------------------------------------------------------------


def pixels(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


@pytest.fixture(
    scope="module",
    params=[3_000_000, pytest.param(100_000_000, marks=pytest.mark.soak)],
    ids=["small", "large"],
)
def sample_pairs(request, samples) -> list[Path]:
    """Real photos up to so many pixels, each with its mask beside it."""
    found = sorted((samples / "samples" / "inpaint").iterdir())
    photos = [path for path in found if not path.stem.endswith("_mask")]
    return [path for path in photos if pixels(path) <= request.param]


@pytest.fixture(scope="module")
def gallery(make_spool, sample_pairs):
    """All sample pairs after `once`."""
    spool = make_spool()
    for path in sample_pairs:
        spool.drop(path.name, path.read_bytes())
        mask = path.with_name(f"{path.stem}_mask.png")
        spool.drop(mask.name, mask.read_bytes())
    process = spool.once()
    assert process.returncode == 0, process.stderr
    return spool


def test_real_photos_change_only_where_they_are_masked(gallery, sample_pairs):
    assert len(sample_pairs) >= 10
    for path in sample_pairs:
        before = cv2.imread(str(path))
        after = cv2.imread(str(next(gallery.outbox.glob("*/" + path.name))))
        mask = cv2.imread(str(path.with_name(f"{path.stem}_mask.png")), cv2.IMREAD_GRAYSCALE)
        assert after.shape == before.shape, path.name
        near = cv2.dilate(mask, np.ones((25, 25), np.uint8))
        far = near == 0
        difference = cv2.absdiff(before, after)
        if path.suffix == ".png":
            assert not difference[far].any(), path.name
        else:
            assert difference[far].mean() < 2.5, path.name
        assert difference[mask > 127].mean() > 1, path.name


def test_real_originals_are_archived_untouched(gallery):
    assert gallery.digests(gallery.archive) == gallery.dropped
    assert gallery.files(gallery.inbox) == []


def test_hashes_in_the_ledger_are_those_of_the_files(gallery):
    for job in gallery.jobs():
        output = (gallery.outbox / job["output"]).read_bytes()
        assert hashlib.sha256(output).hexdigest() == job["output_sha256"]
        assert {d["path"]: d["sha256"] for d in job["drops"]}.items() <= gallery.dropped.items()
