"""Real photos with real masks, 0.3 to 14 megapixels, as many as are asked for.

The sample photos whose holes are modest, each at its own size and enlarged. An enlarged photo keeps
its mask's size, moved to the same place: a hole does not grow because a camera has more pixels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
FOLDER = (
    Path(os.environ.get("RETOUCHD_SAMPLES") or Path(__file__).parents[2] / "shared" / "data")
    / "samples"
    / "inpaint"
)
MODEST = (
    *("aquarium.png", "beach-surfer.jpg", "bike-jump.jpg", "gulls.jpg"),
    *("launch-pad.jpg", "lone-boat.jpg", "plane.jpg", "road-skater.jpg"),
    *("skier.jpg", "taxis.jpg", "tea-hills.jpg", "teddy-bear.jpg"),
)
"""Holes that big-lama paints in 0.2 to 2 s on two cores."""
MEGAPIXELS = (None, 2, 5, 14)
"""Sizes to enlarge to; None: the photo's own."""
QUALITY = 92


def there() -> bool:
    """Whether there are samples; says so where there are none."""
    if not FOLDER.is_dir():
        print(f"skipped: no sample photos at {FOLDER} (set RETOUCHD_SAMPLES)")
    return FOLDER.is_dir()


def fill(folder: Path, count: int) -> None:
    """Write ``count`` pairs; any number of them is a mix of all sizes."""
    folder.mkdir(parents=True)
    for number in range(count):
        name = MODEST[number % len(MODEST)]
        size = MEGAPIXELS[(number + number // len(MODEST)) % len(MEGAPIXELS)]
        _pair(FOLDER / name, size, folder / f"p{number:03}")


def pairs(names: Sequence[str], folder: Path) -> None:
    """Write samples as they are."""
    folder.mkdir(parents=True)
    for name in names:
        _pair(FOLDER / name, None, folder / Path(name).stem)


def mask_of(photo: Path) -> Path:
    """Where a photo's mask is, here and in the samples."""
    return photo.with_name(f"{photo.stem}_mask.png")


def photos_in(folder: Path) -> list[Path]:
    """The photos, without the masks."""
    return sorted(file for file in folder.iterdir() if mask_of(file).exists())


def read(file: Path, flags: int) -> Pixels:
    """One picture as OpenCV reads it, in 8 bits."""
    picture = cv2.imread(str(file), flags)
    if picture is None:
        raise RuntimeError(f"{file} can't be read")
    return picture.astype(np.uint8, copy=False)


def _pair(source: Path, megapixels: int | None, stem: Path) -> None:
    target = stem.with_suffix(source.suffix)
    photo = read(source, cv2.IMREAD_COLOR)
    height, width = photo.shape[:2]
    scale = 1.0 if megapixels is None else (megapixels * 1e6 / (height * width)) ** 0.5
    if scale <= 1.0:
        target.write_bytes(source.read_bytes())
        mask_of(target).write_bytes(mask_of(source).read_bytes())
        return
    size = (round(width * scale), round(height * scale))
    large = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(target), large, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    mask = _moved(read(mask_of(source), cv2.IMREAD_GRAYSCALE), size)
    cv2.imwrite(str(mask_of(target)), mask)


def _moved(mask: Pixels, size: tuple[int, int]) -> Pixels:
    """A mask in a photo of ``size`` (width, height), its centre at the same place as before."""
    moved = np.zeros(size[::-1], np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    places = []
    for start, length, old, new in zip(
        (top, left), (height, width), mask.shape, size[::-1], strict=True
    ):
        centre = (start + length / 2) * new / old
        places.append(min(max(round(centre - length / 2), 0), new - length))
    row, column = places
    moved[row : row + height, column : column + width] = mask[
        top : top + height, left : left + width
    ]
    return moved
