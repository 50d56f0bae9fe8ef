"""A long stream of drops of every kind and size, made from numbers, and how each must end."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cv2
import numpy as np

from helpers.kinds import by_opencv, saved, tiff

SMALLEST, LARGEST = 64 * 64, 3_000_000
"""Pixels."""
_CUTOUT = 400_000
"""Pixels of the largest photo to be cut out, which costs some seconds a megapixel."""
_SUFFIXES = (".jpg", ".jpg", ".png", ".tif", ".webp")
_PERIOD = 40


@dataclass(frozen=True)
class Drop:
    """One job. files: to be dropped in this order, by name. ends: the job's last state; cancelled
    means that the files are to be taken away again as soon as it waits. into: the folder in which
    its output has to lie."""

    lane: str
    kind: str
    files: dict[str, bytes]
    ends: str
    into: str | None = None


def drop(number: int, largest: int = LARGEST) -> Drop:
    """The drop of that number; the same each time. Of forty, 25 are ordinary pairs.

    largest: pixels of the largest photo.
    """
    chance = random.Random(number)
    makers = {
        **{2: _cutout, 12: _cutout, 22: _cutout, 32: _cutout, 17: _clutter, 27: _rough},
        **{5: _small_mask, 25: _empty_mask, 35: _white_mask, 10: _garbage, 20: _cut_off},
        **{30: _text, 15: _taken_away, 37: _twin, 38: _without_a_name},
    }
    return makers.get(number % _PERIOD, _pair)(number, chance, largest)


def _pixels(chance: random.Random, largest: int) -> tuple[int, int]:
    """Sides; as many small ones as large ones, at any scale."""
    count = SMALLEST * (largest / SMALLEST) ** chance.random()
    ratio = chance.uniform(0.5, 2)
    return max(round((count * ratio) ** 0.5), 8), max(round((count / ratio) ** 0.5), 8)


def _photo(number: int, height: int, width: int) -> np.ndarray:
    """Smooth colours [height, width, 3] with some noise, BGR."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (max(height // 40, 2), max(width // 40, 2), 3), np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(0, 8, (height, 1, 3), np.uint8)
    return cv2.add(large, np.broadcast_to(noise, large.shape).copy())


def _hole(chance: random.Random, height: int, width: int) -> np.ndarray:
    """A mask with one to three holes."""
    mask = np.zeros((height, width), np.uint8)
    for _ in range(chance.randint(1, 3)):
        at = (chance.randrange(width), chance.randrange(height))
        cv2.circle(mask, at, max(min(height, width) // chance.randint(8, 16), 3), 255, -1)
    return mask


def _written(pixels: np.ndarray, suffix: str, *, deep: bool = False) -> bytes:
    """pixels: BGR or gray. deep: with 16 bits, where the format has them."""
    if suffix == ".tif":
        colours = np.ascontiguousarray(pixels[..., ::-1])
        return tiff(colours.astype(np.uint16) * 257 if deep else colours)
    if suffix == ".jpg":
        return saved("JPEG", np.ascontiguousarray(pixels[..., ::-1]), quality=90)
    sixteen = deep and suffix == ".png"
    return by_opencv(suffix, pixels.astype(np.uint16) * 257 if sixteen else pixels)


def _picture(
    number: int, chance: random.Random, largest: int
) -> tuple[str, bytes, tuple[int, int]]:
    """A photo's ending, content and sides."""
    suffix = chance.choice(_SUFFIXES)
    sides = _pixels(chance, largest)
    return suffix, _written(_photo(number, *sides), suffix, deep=number % 8 == 0), sides


def _masked(
    number: int, chance: random.Random, largest: int, mask: str, into: str | None = None
) -> Drop:
    suffix, photo, (height, width) = _picture(number, chance, min(largest, 500_000))
    made = {
        "small": lambda: np.full((height // 2, width), 255, np.uint8),
        "empty": lambda: np.zeros((height, width), np.uint8),
        "white": lambda: np.full((height, width), 255, np.uint8),
    }[mask]()
    name = f"n{number:06d}"
    files = {f"{name}{suffix}": photo, f"{name}_mask.png": by_opencv(".png", made)}
    ends = "done" if into else "quarantined"
    return Drop("inpaint", f"{mask} mask", files, ends, into)


def _pair(number: int, chance: random.Random, largest: int) -> Drop:
    suffix, photo, sides = _picture(number, chance, largest)
    name = f"n{number:06d}"
    mask = by_opencv(".png", _hole(chance, *sides))
    files = {f"{name}{suffix}": photo, f"{name}_mask.png": mask}
    # The mask comes first one time in three.
    ordered = dict(reversed(files.items())) if number % 3 == 0 else files
    return Drop("inpaint", "pair", ordered, "done", "outbox")


def _small_mask(number: int, chance: random.Random, largest: int) -> Drop:
    return _masked(number, chance, largest, "small")


def _empty_mask(number: int, chance: random.Random, largest: int) -> Drop:
    """There is nothing to repair."""
    return _masked(number, chance, largest, "empty", "outbox")


def _white_mask(number: int, chance: random.Random, largest: int) -> Drop:
    return _masked(number, chance, largest, "white")


def _twin(number: int, chance: random.Random, largest: int) -> Drop:
    """The same files as those of the pair before it, under a new name."""
    before = number - 1
    while drop(before).kind != "pair":
        before -= 1
    old = drop(before, largest)
    files = {name.replace(f"{before:06d}", f"{number:06d}"): old.files[name] for name in old.files}
    return Drop("inpaint", "twin", files, "done", "outbox")


def _garbage(number: int, chance: random.Random, largest: int) -> Drop:
    data = chance.randbytes(chance.randint(1, 100_000))
    name = f"n{number:06d}"
    files = {f"{name}.png": data, f"{name}_mask.png": by_opencv(".png", np.full((9, 9), 255, "u1"))}
    return Drop("inpaint", "garbage", files, "quarantined")


def _cut_off(number: int, chance: random.Random, largest: int) -> Drop:
    pair = _pair(number, chance, min(largest, 500_000))
    files = {
        name: data if "_mask" in name else data[: len(data) * 2 // 3]
        for name, data in pair.files.items()
    }
    return Drop("inpaint", "cut off", files, "quarantined")


def _text(number: int, chance: random.Random, largest: int) -> Drop:
    return Drop("inpaint", "text", {f"n{number:06d}.txt": b"my list"}, "quarantined")


def _taken_away(number: int, chance: random.Random, largest: int) -> Drop:
    suffix, photo, _ = _picture(number, chance, min(largest, 100_000))
    return Drop("inpaint", "taken away", {f"n{number:06d}{suffix}": photo}, "cancelled")


def _subject(number: int, chance: random.Random, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo of an ellipse before a plain backdrop, BGR, and a rough mask of it."""
    height, width = (max(side, 64) for side in _pixels(chance, min(largest, _CUTOUT)))
    colour = [chance.randrange(180) for _ in range(3)]
    axes = (width * 3 // 10, height * 3 // 10)
    shape = ((width // 2, height // 2), axes, 0, 0, 360)
    photo = np.full((height, width, 3), 235, np.uint8)
    cv2.ellipse(photo, *shape, colour, -1, cv2.LINE_AA)
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, *shape, 255, -1)
    return photo, mask


def _cutout(number: int, chance: random.Random, largest: int) -> Drop:
    photo, _ = _subject(number, chance, largest)
    suffix = chance.choice((".png", ".webp"))
    files = {f"n{number:06d}{suffix}": _written(photo, suffix)}
    return Drop("cutouts", "cut-out", files, "done", "outbox")


def _rough(number: int, chance: random.Random, largest: int) -> Drop:
    photo, mask = _subject(number, chance, largest)
    name = f"n{number:06d}"
    files = {f"{name}_mask.png": by_opencv(".png", mask), f"{name}.png": by_opencv(".png", photo)}
    return Drop("cutouts", "cut-out, rough mask", files, "done", "outbox")


def _clutter(number: int, chance: random.Random, largest: int) -> Drop:
    """No backdrop: the cut-out goes to review."""
    sides = tuple(max(side, 64) for side in _pixels(chance, min(largest, 100_000)))
    small = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    photo = cv2.resize(small, sides, interpolation=cv2.INTER_NEAREST)
    files = {f"n{number:06d}.png": by_opencv(".png", photo)}
    return Drop("cutouts", "clutter", files, "done", "review")


def _without_a_name(number: int, chance: random.Random, largest: int) -> Drop:
    """In the folder for cut-outs, a picture that is none."""
    name = f"n{number:06d}.webp"
    return Drop("cutouts", "garbage", {name: chance.randbytes(5000)}, "quarantined")
