"""The well-known networks for matting, by what is published of how each is used.

Each family's own entry of the built-in manifest drives a small network of the same inputs and
outputs, whose answer is a known function of its input. So the whole way is checked by numbers:
photo, geometry, scale, mean, deviation, axes, activation, stretch, alpha.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from retouchd.device import Place
from retouchd.fitting import photo_part, picture_of, place
from retouchd.manifest import available, builtin_entries
from retouchd.own_manifest import with_entry
from retouchd.painter import open_painter

MakeOnnx = Callable[..., Path]
Image = np.ndarray

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

WEIGHTS = (0.03, 0.05, 0.02)
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Family:
    """side: of its square input, None for any. scale: of a photo with that largest sample.

    mean, std: as its authors or rembg use it. logits: its output wants a sigmoid.
    """

    side: int | None
    mean: list[float]
    std: list[float]
    by_maximum: bool = False
    logits: bool = False

    def expected(self, picture: Image) -> Image:
        """The alpha of a network that gives 0.5 + weights · input."""
        divisor = float(picture.max()) if self.by_maximum else 255.0
        unit = (picture / divisor - np.array(self.mean)) / np.array(self.std)
        raw = 0.5 + unit @ np.array(WEIGHTS)
        return 1 / (1 + np.exp(-raw)) if self.logits else raw.clip(0, 1)


U2NET = Family(320, *IMAGENET, by_maximum=True)
FAMILIES = {
    "u2net": U2NET,
    "u2netp": U2NET,
    "u2net-human-seg": U2NET,
    "silueta": U2NET,
    "isnet-general-use": Family(1024, [0.5] * 3, [1.0] * 3),
    "isnet-anime": Family(1024, IMAGENET[0], [1.0] * 3),
    "birefnet-general": Family(1024, *IMAGENET, logits=True),
    "birefnet-general-lite": Family(1024, *IMAGENET, logits=True),
    "birefnet-portrait": Family(1024, *IMAGENET, logits=True),
    "modnet": Family(None, [0.5] * 3, [0.5] * 3),
}


@dataclass(frozen=True)
class Shop:
    """Takes the place of a family's published file."""

    folder: Path
    make_onnx: MakeOnnx

    def alpha_of(self, name: str, photo: Image, **output: Any) -> tuple[Image, Image]:
        """What comes out for a photo: its picture, and the part of the alpha that is its own."""
        entry = builtin_entries()[name]
        side = FAMILIES[name].side
        path = self.make_onnx(name, weights=WEIGHTS, bias=0.5, shape=(1, 3, side, side))
        installed = {
            "file": str(path),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "url": None,
            "md5": None,
            "output": entry.output.model_copy(update=output),
        }
        text = with_entry("", name, entry.model_copy(update=installed), path)
        (self.folder / "manifest.yaml").write_text(text, encoding="utf-8")
        spec = available(self.folder)[name]
        assert spec.fit is not None
        where = place((photo.shape[0], photo.shape[1]), spec.fit)
        picture, shown = picture_of(photo, where)
        painter = open_painter(spec, Place(), None, lambda: None)
        (alpha,) = painter.start([(picture, shown)])()
        return picture, photo_part(alpha[..., 0], where)


@pytest.fixture
def shop(tmp_path: Path, make_onnx: MakeOnnx) -> Shop:
    return Shop(tmp_path, make_onnx)


def photo(height: int = 90, width: int = 140) -> Image:
    """Smooth, in all colours, never brighter than 200."""
    down, right = np.mgrid[0:height, 0:width]
    channels = (200 * down / height, 200 * right / width, 100 + 60 * np.sin(right / 20))
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def test_every_onnx_network_that_is_offered_is_checked_here() -> None:
    offered = {name for name, entry in builtin_entries().items() if entry.architecture == "onnx"}

    assert offered == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_photo_goes_through_as_the_family_s_own_code_would_do_it(shop: Shop, name: str) -> None:
    family = FAMILIES[name]

    picture, alpha = shop.alpha_of(name, photo())

    if family.side:
        assert picture.shape == (family.side, family.side, 3)
    assert np.abs(alpha - family.expected(picture)).max() < 1e-5
    assert np.ptp(alpha) > 0.02, "an alpha that is the same everywhere proves nothing"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_photo_of_one_colour_has_the_alpha_that_the_formula_gives(shop: Shop, name: str) -> None:
    """Nothing of retouchd is in the expected number, not even the resizing."""
    colour = (180, 90, 30)
    plain = np.full((70, 50, 3), colour, np.uint8)

    _, alpha = shop.alpha_of(name, plain)

    expected = FAMILIES[name].expected(np.array([[colour]]))[0, 0]
    assert np.abs(alpha - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["u2net", "isnet-general-use", "birefnet-general", "modnet"])
def test_sixteen_bits_make_no_difference(shop: Shop, name: str) -> None:
    _, eight = shop.alpha_of(name, photo())
    _, sixteen = shop.alpha_of(name, photo().astype(np.uint16) * 257)

    assert np.abs(eight - sixteen).max() < 3e-3, "more than 8 bits of a picture can do"


@pytest.mark.parametrize(
    ("size", "shown"),
    [((600, 900), (512, 768)), ((512, 512), (512, 512)), ((300, 200), (768, 512))],
)
def test_modnet_sees_the_photo_s_own_shape_in_multiples_of_32(
    shop: Shop, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    picture, alpha = shop.alpha_of("modnet", photo(*size))

    assert picture.shape[:2] == alpha.shape == shown
    assert not any(side % 32 for side in shown)


@pytest.mark.parametrize("name", ["u2net", "isnet-anime", "birefnet-portrait"])
def test_the_others_see_a_square_with_nothing_but_the_photo(shop: Shop, name: str) -> None:
    """Squashed, as they were trained: the alpha of the whole square is that of the photo."""
    picture, alpha = shop.alpha_of(name, photo(60, 240))

    side = FAMILIES[name].side
    assert picture.shape[:2] == alpha.shape == (side, side)
    expected = cv2.resize(photo(60, 240), (side or 0, side or 0), interpolation=cv2.INTER_CUBIC)
    assert np.abs(picture.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ["u2net", "isnet-general-use", "birefnet-general"])
def test_stretched_by_option_it_is_what_rembg_makes_of_it(shop: Shop, name: str) -> None:
    picture, alpha = shop.alpha_of(name, photo(), stretch=True)

    raw = FAMILIES[name].expected(picture)
    assert np.abs(alpha - (raw - raw.min()) / (raw.max() - raw.min())).max() < 1e-4


def test_unless_asked_for_nothing_is_stretched() -> None:
    """On a photo without a subject it makes one up."""
    assert not any(entry.output.stretch for entry in builtin_entries().values())


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_offered_can_be_checked_and_says_whose_it_is(name: str) -> None:
    entry = builtin_entries()[name]

    assert entry.sha256 or entry.md5
    assert all([entry.licence, entry.source, entry.contract, entry.notes])
    assert str(entry.url).startswith("https://")
