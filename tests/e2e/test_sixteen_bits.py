"""A 16-bit photo stays one: from the file through the model, and its hole as well."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import tifffile

HEIGHT, WIDTH = 200, 320
HOLE = (slice(80, 120), slice(90, 230))
GROWN = (slice(70, 130), slice(80, 240))
LANES = {
    "plain": {},
    "hard": {"blend": "hard"},
    "grain": {"match": {"grain": True}},
    "again": {"match": {"grain": True}},
}


def ramp(channels):
    """From dark to bright over a quarter of the range: 52 of 16-bit levels from pixel to pixel."""
    x = np.linspace(20000, 36384, WIDTH)
    shade = np.repeat(x[None], HEIGHT, axis=0)[..., None]
    return np.round(shade * np.linspace(1, 0.9, channels)).astype(np.uint16)


def png(pixels):
    """RGB is written as OpenCV wants it."""
    return cv2.imencode(".png", pixels[..., ::-1] if pixels.shape[2] == 3 else pixels)[1].tobytes()


def tiff(pixels):
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.squeeze(pixels))
    return stream.getvalue()


def grainy():
    noise = np.random.default_rng(0).normal(0, 3 * 257, (HEIGHT, WIDTH, 3))
    return np.clip(ramp(3) + noise, 0, 65535).round().astype(np.uint16)


PHOTOS = {
    "rgb.png": lambda: png(ramp(3)),
    "grey.png": lambda: png(ramp(1)),
    "rgb.tif": lambda: tiff(ramp(3)),
    "grey.tif": lambda: tiff(ramp(1)),
    "grainy.tif": lambda: tiff(grainy()),
}


def decoded(data, name):
    if name.endswith(".tif"):
        pixels = tifffile.imread(io.BytesIO(data))
    else:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return pixels.reshape(*pixels.shape[:2], -1)


@pytest.fixture(scope="module")
def outputs(make_lanes):
    """Lane and name → what came out, [H, W, C]."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[HOLE] = 255
    shop = make_lanes()
    spools = {name: shop.lane(name, **options) for name, options in LANES.items()}
    for spool in spools.values():
        for name, make in PHOTOS.items():
            spool.drop(name, make())
            spool.drop(f"{name}.mask.png", mask)
    done = shop.once()
    assert done.returncode == 0, done.stderr
    return {
        (lane, name): decoded(next(spool.outbox.glob(f"*/{name}")).read_bytes(), name)
        for lane, spool in spools.items()
        for name in PHOTOS
    }


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("name", PHOTOS)
def test_every_known_sample_keeps_its_16_bits(outputs, lane, name):
    pixels, before = outputs[lane, name], decoded(PHOTOS[name](), name)
    assert pixels.dtype == np.uint16
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[GROWN] = False
    assert np.array_equal(pixels[outside], before[outside])


@pytest.mark.parametrize("lane", ["plain", "hard"])
@pytest.mark.parametrize("name", [name for name in PHOTOS if name != "grainy.tif"])
def test_a_hole_is_filled_with_more_shades_than_8_bits_have(outputs, lane, name):
    """Where the ramp crosses the hole there are 33 of 8 bits' levels."""
    fill = outputs[lane, name][HOLE]
    assert len(np.unique(fill)) > 256
    assert len(np.unique(fill % 257)) > 200


def test_grain_has_16_bits_too_and_is_as_strong_as_around_the_hole(outputs):
    plain, grain = (outputs[lane, "grainy.tif"].astype(np.float64) for lane in ("plain", "grain"))
    inner = (slice(85, 115), slice(95, 225))

    def roughness(pixels):
        return np.median(np.abs(np.diff(pixels, 2, axis=1)))

    around = roughness(grain[:60])
    assert roughness(plain[inner]) < 0.5 * around
    assert roughness(grain[inner]) == pytest.approx(around, rel=0.15)
    assert len(np.unique(grain[inner] % 257)) > 200


@pytest.mark.parametrize("name", PHOTOS)
def test_a_job_that_is_done_again_gives_the_same_grain(outputs, name):
    assert np.array_equal(outputs["grain", name], outputs["again", name])
