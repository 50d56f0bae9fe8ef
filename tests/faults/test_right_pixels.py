"""Promise 12: the pixels are the right ones. However a photo and its mask are stored, what the mask
marks is what changes; and what comes of each kind of picture is what docs/pictures.md says.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from helpers.kinds import saved
from helpers.said import CASES, HEIGHT, WIDTH, photo
from helpers.spool import Lanes

PROMISE = "12 pictures looked at"
DOCUMENT = Path(__file__).parents[2] / "docs" / "pictures.md"
HOLE = (slice(10, 40), slice(15, 60))
"""Off the middle, so that a turned or mirrored result can't pass."""
GROWN = (slice(0, 50), slice(5, 70))
SUBJECT = (slice(30, 80), slice(20, 90))
ORIENTATION, MAKE = 0x112, 0x10F
STORED = {
    **{2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180},
    **{4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE},
    **{6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270},
}
TURNABLE = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif"}
EXACT = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}, "AVIF": {"quality": 95}}
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><title>A title</title></x:xmpmeta>'


def product() -> np.ndarray:
    """Something dark before a plain backdrop, off the middle."""
    pixels = np.full((HEIGHT, WIDTH, 3), 240, np.uint8)
    pixels[SUBJECT] = (40, 70, 120)
    return pixels


def hole() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[HOLE] = 255
    return mask


def rough() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[SUBJECT[0].start + 3 : SUBJECT[0].stop - 3, SUBJECT[1].start + 3 : SUBJECT[1].stop - 3] = (
        255
    )
    return mask


def outside() -> np.ndarray:
    known = np.ones((HEIGHT, WIDTH), bool)
    known[GROWN] = False
    return known


def turned(upright: np.ndarray, orientation: int, format: str) -> bytes:
    """As a camera stores it that was held that way."""
    image = Image.fromarray(upright)
    if orientation > 1:
        image = image.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(format, image, exif=exif, **EXACT.get(format, {}))


@dataclass(frozen=True)
class Turn:
    """How a photo and its mask are stored."""

    format: str
    of_photo: int
    of_mask: int

    @property
    def name(self) -> str:
        return f"{self.format}{self.of_photo}{self.of_mask}{TURNABLE[self.format]}"


QUICK = [
    Turn(list(TURNABLE)[(k + shift) % 5], k, mask)
    for k in range(1, 9)
    for shift, mask in ((0, 1), (1, k), (3, 9 - k))
]
ALL = [Turn(f, k, m) for f in TURNABLE for k in range(1, 9) for m in range(1, 9)]


def check_turned(folder, turns, tally):
    """Repaired where the mask says, and cut out where the rough mask says."""
    lanes = Lanes(folder / "root")
    inpaint = lanes.lane("inpaint", model="flat")
    matte = lanes.lane("cutouts", task="matte", matte={"review_below": 0.0})
    for turn in turns:
        mask_name = f"{turn.name}.mask{TURNABLE[turn.format]}"
        for spool, upright, mask in ((inpaint, photo(), hole()), (matte, product(), rough())):
            spool.drop(turn.name, turned(upright, turn.of_photo, turn.format))
            spool.drop(mask_name, turned(mask, turn.of_mask, turn.format))
    done = lanes.retouchd("once", fast=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    for turn in turns:
        check_repaired(next(inpaint.outbox.glob(f"*/{turn.name}")), turn)
        # A JPEG has no alpha, so its cut-out is a PNG.
        check_cut_out(next(matte.outbox.glob(f"*/{turn.name.replace('.jpg', '.png')}")))
        tally.add(PROMISE, f"turned {turn.format}")


def check_repaired(path, turn):
    with Image.open(path) as after:
        assert after.size == (WIDTH, HEIGHT), turn
        assert after.getexif().get(ORIENTATION, 1) == 1, turn
        difference = np.abs(np.asarray(after).astype(int) - photo()).max(axis=2)
    lossy = turn.format in ("JPEG", "AVIF")
    assert difference[outside()].mean() < (5 if lossy else 1e-9), turn
    assert difference[HOLE].mean() > 12, turn


def check_cut_out(path):
    with Image.open(path) as after:
        assert after.size == (WIDTH, HEIGHT)
        found = np.asarray(after)[..., 3] > 127
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[SUBJECT] = True
    assert (found & wanted).sum() / (found | wanted).sum() > 0.9, path


def test_a_turned_photo_and_a_turned_mask_meet(tmp_path, tally):
    """The mask upright, turned like the photo, and turned in another way."""
    check_turned(tmp_path, QUICK, tally)


@pytest.mark.soak
@pytest.mark.parametrize("format", TURNABLE)
def test_any_turned_photo_and_any_turned_mask_meet(tmp_path, tally, format):
    check_turned(tmp_path, [turn for turn in ALL if turn.format == format], tally)


# --- what docs/pictures.md says -----------------------------------------------------------------


def rows(first: str) -> list[list[str]]:
    """The cells of the table whose heading begins so."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


SAID = dict(rows("picture"))
KEPT = {format: cells for format, *cells in rows("format")}


def decoded(data: bytes, suffix: str) -> np.ndarray:
    """[H, W, C] in RGB order and the file's own depth, by a reader that is not ours."""
    if suffix == ".tif":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            pixels = page.asarray()
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                pixels = np.iinfo(pixels.dtype).max - pixels
            if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
                pixels = np.moveaxis(page.colormap[:, pixels] >> 8, 0, -1).astype(np.uint8)
        return pixels.reshape(*pixels.shape[:2], -1)
    with Image.open(io.BytesIO(data)) as image:
        deep = image.mode.startswith("I") or b"pixi\0\0\0\0\3\n" in data or _is_deep_png(data)
        if not deep:
            plain = image.convert("RGB") if image.mode == "P" else image
            if image.mode == "P" and "transparency" in image.info:
                plain = image.convert("RGBA")
            plain = plain.convert("L") if plain.mode == "1" else plain
            return np.asarray(plain).reshape(plain.height, plain.width, -1)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]]


def _is_deep_png(data: bytes) -> bool:
    return data[:4] == b"\x89PNG" and data[24] == 16


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A pair of each kind after a run; and files full of metadata."""
    lanes = Lanes(tmp_path_factory.mktemp("pictures") / "root", scan={"incomplete_after": "1s"})
    spool = lanes.lane("inpaint", model="flat")
    for number, (suffix, make) in enumerate(CASES.values()):
        spool.drop(f"k{number}{suffix}", make())
        spool.drop(f"k{number}_mask.png", hole())
    for format, suffix in SUFFIXES.items():
        spool.drop(f"meta{format}{suffix}", full_of_metadata(format))
        spool.drop(f"meta{format}_mask.png", hole())
    spool.process = lanes.retouchd("once", fast=True, timeout=600)
    spool.states = {job["name"]: job for job in lanes.jobs()}
    return spool


def test_every_row_has_a_case():
    assert set(SAID) == set(CASES)
    assert set(KEPT) == set(SUFFIXES)


@pytest.mark.parametrize("kind", CASES)
def test_what_is_said_of_a_picture_is_true(shop, tally, kind):
    suffix, make = CASES[kind]
    name = f"k{list(CASES).index(kind)}{suffix}"
    job, said = shop.states[name], SAID[kind]
    tally.add(PROMISE, said.partition(":")[0])
    if said.startswith("refused: "):
        assert job["state"] == "quarantined"
        assert said.removeprefix("refused: ") in job["error"]
        (text,) = shop.failed.glob(f"*/{name}.error.txt")
        assert "What to do:" in text.read_text(encoding="utf-8")
        assert shop.digests(shop.failed)[name] == shop.dropped[name]
        return
    assert job["state"] == "done", job["error"]
    before = decoded(make(), suffix)
    after = decoded(next(shop.outbox.glob(f"*/{name}")).read_bytes(), suffix)
    wanted = {"gray of 8 bits": 1, "RGB of 8 bits": 3, "RGBA of 8 bits": 4}
    channels = wanted.get(said, before.shape[2])
    assert (after.shape, after.dtype) == ((HEIGHT, WIDTH, channels), before.dtype)
    check_pixels(before, after, kind)


def check_pixels(before, after, kind):
    shade = {"AVIF, 10 bits": 4}.get(kind, 257 if after.dtype == np.uint16 else 1)
    difference = np.abs(after.astype(int) - before) / shade
    lossy = kind.startswith(("JPEG", "AVIF", "WebP, lossy"))
    assert difference[outside()].mean() < (4 if lossy else 1e-9)
    colours = 3 if after.shape[2] >= 3 else 1
    assert difference[HOLE][..., :colours].mean() > 3
    if after.shape[2] in (2, 4) and not lossy:
        assert not difference[..., -1].any(), "the alpha has changed"


SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WebP": ".webp", "TIFF": ".tif", "BMP": ".bmp"} | {
    "AVIF": ".avif"
}


def full_of_metadata(format: str) -> bytes:
    exif = Image.Exif()
    exif[MAKE] = "Acme"
    more = {"icc_profile": ICC, "exif": exif, "dpi": (300, 300)}
    if format == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return saved("PNG", photo(), pnginfo=info, **more)
    if format == "TIFF":
        return saved(
            "TIFF", photo(), tiffinfo={700: XMP, MAKE: "Acme"}, icc_profile=ICC, dpi=(300, 300)
        )
    if format == "BMP":
        return saved("BMP", photo(), dpi=(300, 300))
    return saved(format.upper(), photo(), xmp=XMP, **more)


@pytest.mark.parametrize("format", SUFFIXES)
def test_what_is_said_to_be_kept_is_kept(shop, tally, format):
    path = next(shop.outbox.glob(f"*/meta{format}{SUFFIXES[format]}"))
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        dpi = tuple(round(float(side)) for side in image.info.get("dpi", (0, 0)))
        found = [
            image.info.get("icc_profile") == ICC,
            image.getexif().get(MAKE) == "Acme",
            bool(re.search(rb"<title>A title</title>", data)),
            dpi == (300, 300),
        ]
    tally.add(PROMISE, "metadata")
    assert ["yes" if one else "–" for one in found] == KEPT[format]
