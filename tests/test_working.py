"""What a hand does with a photo: decoding and planning, and the output."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from retouchd import files
from retouchd.config import Lane
from retouchd.errors import NotAMask, OutputWrong
from retouchd.regions import DEFAULTS
from retouchd.roots import Root
from retouchd.shared import SharedArray, attach, put
from retouchd.tasks import matting, working
from retouchd.tasks.values import Original, region_of

MakeRoot = Callable[..., Root]
SETTINGS = Lane(name="a", inbox="/i", outbox="/o", archive="/x", failed="/f").work()
HEIGHT, WIDTH = 700, 900
SPOT = np.s_[300:340, 500:560]
HIDDEN = ".retouchd-t.tmp"


def photo() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (35, 45, 3), np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def hole() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[SPOT] = 255
    return mask


@pytest.fixture
def roots(make_root: MakeRoot) -> tuple[Root, Root]:
    return make_root("inbox"), make_root("outbox")


@pytest.fixture
def prepared(roots: tuple[Root, Root]) -> Iterator[tuple[dict[str, Any], list[SharedArray]]]:
    facts, arrays = working.prepare(to_prepare(roots[0], photo(), hole()), [])
    yield json.loads(json.dumps(facts)), list(arrays)
    for array in arrays:
        array.close()


def to_prepare(inbox: Root, pixels: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    for name, picture in (("p.png", pixels), ("m.png", mask)):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "PNG")
        Path(inbox.ref.path, name).write_bytes(stream.getvalue())
    return {
        "image": original(inbox, "p.png"),
        "mask": original(inbox, "m.png"),
        "source": "mask",
        "rectangles": [],
        "mask_settings": SETTINGS["mask"],
        "strategy": "auto",
        "largest": DEFAULTS.largest,
        "max_pixels": 10**7,
        "max_bytes": 10**8,
    }


def original(root: Root, path: str) -> dict[str, Any]:
    stat = files.stat(root, path)
    assert stat
    return Original(root.ref, path, stat).to_wire()


def finished(facts: dict[str, Any], arrays: list[SharedArray], outbox: Root) -> dict[str, Any]:
    """Black for every hole, as a model's answer."""
    regions = [region_of(region) for region in facts["regions"]]
    sizes = [region.size for region in regions]
    answers = put(np.zeros(sum(3 * height * width for height, width in sizes), np.float32))
    values = {
        "regions": [
            {**asdict(region), "crop": list(size)}
            for region, size in zip(regions, sizes, strict=True)
        ],
        "metadata": facts["metadata"],
        "blend": "hard",
        "match": {"colour": False, "grain": False},
        "opaque": False,
        "feather": 0,
        "output": SETTINGS["output"],
        "root": asdict(outbox.ref),
        "temporary": HIDDEN,
        "name": "p.png",
        "verbatim": None,
    }
    try:
        return working.finish(values, [*arrays[:2], answers])[0]
    finally:
        answers.close()


def test_a_photo_comes_out_the_same_but_for_its_hole(
    prepared: tuple[dict[str, Any], list[SharedArray]], roots: tuple[Root, Root]
) -> None:
    facts, arrays = prepared
    finished(facts, arrays, roots[1])
    grown = attach(arrays[1]) > 0
    with Image.open(Path(roots[1].ref.path, HIDDEN)) as image:
        seen = np.asarray(image)
    np.testing.assert_array_equal(seen[~grown], photo()[~grown])
    assert not seen[grown].any()
    assert grown[SPOT].all()


def test_a_small_hole_takes_little_memory(
    prepared: tuple[dict[str, Any], list[SharedArray]],
) -> None:
    """Only the rows with hole in them are ever written."""
    pixels, mask = prepared[1][:2]
    assert os.fstat(mask.fd).st_blocks * 512 < mask.nbytes / 4
    assert os.fstat(pixels.fd).st_size == pixels.nbytes


def test_a_photo_that_can_not_be_planned_for_leaves_nothing_open(
    roots: tuple[Root, Root],
) -> None:
    values = to_prepare(roots[0], photo(), hole())
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ValueError, match="is not one of"):
        working.prepare({**values, "strategy": "none"}, [])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_photo_with_the_name_of_a_mask_is_nobodys_mask(roots: tuple[Root, Root]) -> None:
    values = to_prepare(roots[0], photo(), photo()[::-1])
    with pytest.raises(NotAMask, match=r"m\.png .*mask of p\.png"):
        working.prepare(values, [])
    with pytest.raises(NotAMask, match=r"m\.png .*mask of p\.png"):
        matting.prepare_matte({**values, "name": "p.png", "fit": None, "background": None}, [])


def test_an_output_that_is_wrong_does_not_stay(
    prepared: tuple[dict[str, Any], list[SharedArray]],
    roots: tuple[Root, Root],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was written before it was looked at, so that the look is at what the disk holds."""
    encode = working.encode

    def other(result: Any, **options: Any) -> Any:
        pixels = result.pixels.copy()
        pixels[0, 0] ^= 1
        return encode(type(result)(pixels, result.metadata), **options)

    monkeypatch.setattr(working, "encode", other)
    with pytest.raises(OutputWrong, match="other pixels"):
        finished(*prepared, roots[1])
    assert not Path(roots[1].ref.path, HIDDEN).exists()
