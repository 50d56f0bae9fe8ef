"""A LaMa paints through the whole service what the original implementation paints.

From the dropped PNG to the published one, within one level of 255 in the hole and exactly outside.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from retouchd.manifest import resolve
from retouchd.weightfile import sha256_of
from retouchd.weights import load_lama

LITERAL = (
    *("--set", "lanes.*.precision=fp32", "--set", "lanes.*.strategy=whole"),
    *("--set", "lanes.*.mask.dilate=0", "--set", "lanes.*.mask.feather=0"),
    *("--set", "lanes.*.blend=hard"),
    *("--set", "device.use=cpu", "--set", "device.threads=1"),
)
"""One look at the whole photo, in float32, pasted as it is: the original's own way."""
SIZES = ("64x64", "203x325")


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _published(spool: Any, name: str) -> np.ndarray:
    (path,) = spool.outbox.glob(f"*/{name}")
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def _check(found: np.ndarray, image: np.ndarray, mask: np.ndarray, expected: np.ndarray) -> None:
    """expected: [H, W, 3] float in [0, 1]."""
    hole = mask > 127
    assert expected[hole].std() > 0.01, "a constant would prove nothing"
    np.testing.assert_array_equal(found[~hole], image[~hole])
    worst = np.abs(found[hole] / 255 - expected[hole]).max()
    assert worst <= 0.5 / 255 + 1e-4, f"largest difference {worst * 255:.3f}/255"


@pytest.fixture(scope="module")
def ground_truth(samples: Path) -> Path:
    folder = samples / "lama-tiny"
    if not folder.is_dir():
        pytest.skip("the reference outputs of the original implementation are not here")
    return folder


def _original_folder(truth: Path, root: Path) -> str:
    """config.yaml beside models/best.ckpt, as its authors hand it out."""
    folder = root / "big-lama"
    (folder / "models").mkdir(parents=True)
    (folder / "config.yaml").write_text("generator: {kind: ffc_resnet}\n", encoding="utf-8")
    shutil.copy(truth / "models/best.ckpt", folder / "models")
    return str(folder)


def _torchscript_pinned(truth: Path, root: Path) -> str:
    """By name, from a manifest that pins its sha256."""
    models = root / "models"
    models.mkdir()
    shutil.copy(truth / "big-lama.pt", models)
    pinned = {"architecture": "lama", "file": "big-lama.pt"}
    pinned["sha256"] = sha256_of(models / "big-lama.pt")
    manifest = yaml.safe_dump({"models": {"scripted": pinned}})
    (models / "manifest.yaml").write_text(manifest, encoding="utf-8")
    return "scripted"


FORMATS: dict[str, Callable[[Path, Path], str]] = {
    "original-folder": _original_folder,
    "lightning-checkpoint": lambda truth, root: str(truth / "models/best_pl.ckpt"),
    "torchscript-by-path": lambda truth, root: str(truth / "big-lama.pt"),
    "torchscript-pinned": _torchscript_pinned,
    "safetensors": lambda truth, root: str(truth / "generator.safetensors"),
}
"""Of weights → what a lane's `model` says, for files of the reference and a folder to write in."""


@pytest.fixture(scope="module")
def references(ground_truth: Path) -> dict[str, Any]:
    """By size: photo, mask, and what the original made of them."""
    return {size: np.load(ground_truth / f"ref_{size}.npz") for size in SIZES}


@pytest.fixture(scope="module")
def painted(make_lanes: Any, ground_truth: Path, references: dict[str, Any]) -> dict[str, Any]:
    """A lane for each format, after one `once`."""
    lanes = make_lanes()
    lanes.top["models"] = str(lanes.root / "models")
    found = {
        name: lanes.lane(name, model=written(ground_truth, lanes.root))
        for name, written in FORMATS.items()
    }
    for spool in found.values():
        for size, reference in references.items():
            spool.drop(f"{size}.png", _png(reference["image_u8"]))
            spool.drop(f"{size}_mask.png", _png(reference["mask_u8"]))
    done = lanes.once(*LITERAL)
    assert done.returncode == 0, done.stderr
    return found


@pytest.mark.parametrize("weights", FORMATS)
def test_every_weights_format_paints_what_the_original_paints(
    painted: dict[str, Any], references: dict[str, Any], weights: str
) -> None:
    for size, reference in references.items():
        image, mask = reference["image_u8"], reference["mask_u8"]
        found = _published(painted[weights], f"{size}.png")
        height, width = mask.shape
        expected = reference["inpainted"][0].transpose(1, 2, 0)[:height, :width]
        _check(found, image, mask, expected)
        # The original cuts off what is below a level, where retouchd rounds.
        levels = found.astype(int) - reference["result_u8"]
        assert np.abs(levels).max() <= 1


def _literally(path: Path, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What the network that reads like the paper paints; the padding as the original pads."""
    height, width = mask.shape
    sides = [(0, -height % 8), (0, -width % 8)]
    hole = np.pad((mask > 127).astype(np.float32), sides, mode="symmetric")
    photo = np.pad(image.astype(np.float32) / 255, [*sides, (0, 0)], mode="symmetric")
    stacked = np.dstack([photo * (1 - hole[..., None]), hole]).transpose(2, 0, 1)
    with torch.inference_mode():
        module = load_lama(resolve(str(path), path.parent))
        painted = module(torch.from_numpy(stacked[None]))[0]
    return painted.permute(1, 2, 0).numpy()[:height, :width]


def test_the_service_paints_what_the_literal_network_paints(
    spool: Any, make_lama: Callable[..., Path]
) -> None:
    """With a network of its own, so that this claim needs no sample data."""
    path = make_lama(ngf=16, blocks=4)
    random = np.random.default_rng(5)
    photos: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for number, (height, width) in enumerate([(64, 64), (75, 121), (136, 90)]):
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        mask[height // 5 : height // 2, width // 3 : width * 3 // 4] = 255
        mask[-3:, -5:] = 255
        photos[f"{number}.png"] = image, mask
        spool.drop(f"{number}.png", _png(image))
        spool.drop(f"{number}_mask.png", _png(mask))

    done = spool.once(*LITERAL, "--model", str(path))

    assert done.returncode == 0, done.stderr
    for name, (image, mask) in photos.items():
        _check(_published(spool, name), image, mask, _literally(path, image, mask))
