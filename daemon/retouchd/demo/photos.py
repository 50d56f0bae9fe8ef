"""The demo's material: photos bundled with scikit-image, with defects that we draw on them.

The photos are public domain or CC0 (astronaut: NASA; rocket: SpaceX; coffee: Rachel Michetti;
chelsea: Stefan van der Walt); each defect is what people really remove, and its mask is what they
would draw. One more photo is to be cut out, along a rough outline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Draw = Callable[[Picture, Picture], None]

_OUTLINE = (
    *((78, 190), (90, 136), (121, 101), (172, 76), (184, 60), (209, 37), (246, 18), (292, 11)),
    *((338, 18), (375, 37), (402, 67), (416, 60), (425, 71), (421, 106), (451, 136), (474, 178)),
    *((480, 230), (466, 287), (425, 339), (368, 370), (299, 385), (218, 379), (149, 348)),
    *((103, 293), (80, 236)),
)
"""x, y around the cup on its saucer, by hand."""


@dataclass(frozen=True)
class Sample:
    """One pair. photo, mask: BGR [H, W, 3] and grey [H, W], uint8. suffix: the photo's format.
    folder: of the inbox that it is dropped into, and of what comes of it."""

    name: str
    photo: Picture
    mask: Picture
    suffix: str
    folder: str = ""


def samples() -> list[Sample]:
    """The demo's pairs; raises ImportError without scikit-image."""
    from skimage import data

    plans: list[tuple[str, Any, Draw, str]] = [
        ("coffee-watermark", data.coffee, _watermark, ".jpg"),
        ("cat-scratches", data.chelsea, _scratches, ".png"),
        ("rocket-wires", data.rocket, _wires, ".jpg"),
        ("astronaut-date", data.astronaut, _date_stamp, ".webp"),
    ]
    repaired = [_sample(name, load(), draw, suffix) for name, load, draw, suffix in plans]
    cup: Any = data.coffee
    return [*repaired, _cup(cup())]


def _cup(rgb: Picture) -> Sample:
    photo = np.ascontiguousarray(rgb[..., 2::-1])
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.array(_OUTLINE, np.int32)], (255,))
    return Sample("cup", photo, mask, ".jpg", "matte")


def _sample(name: str, rgb: Picture, draw: Draw, suffix: str) -> Sample:
    photo = np.ascontiguousarray(rgb[..., 2::-1])
    mask = np.zeros(photo.shape[:2], np.uint8)
    draw(photo, mask)
    return Sample(name, photo, cv2.dilate(mask, np.ones((3, 3), np.uint8)).astype(np.uint8), suffix)


def _text(
    photo: Picture, mask: Picture, text: str, at: tuple[int, int], scale: float, opacity: float
) -> None:
    """Write translucent text, and mark it."""
    ink = np.zeros(mask.shape, np.uint8)
    weight = max(1, round(2 * scale))
    cv2.putText(ink, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, weight, cv2.LINE_AA)
    share = ink[..., None].astype(np.float32) / 255 * opacity
    photo[:] = (photo * (1 - share) + 255 * share).astype(np.uint8)
    mask[ink > 0] = 255


def _watermark(photo: Picture, mask: Picture) -> None:
    for row, x in ((130, 20), (250, 200), (370, 60)):
        _text(photo, mask, "(c) SAMPLE STUDIO", (x, row), 1.1, 0.7)


def _date_stamp(photo: Picture, mask: Picture) -> None:
    height, width = mask.shape
    _text(photo, mask, "1997 06 24", (width - 230, height - 22), 1.1, 1.0)


def _scratches(photo: Picture, mask: Picture) -> None:
    random = np.random.default_rng(7)
    height, width = mask.shape
    for _ in range(14):
        start = random.integers((0, 0), (width, height))
        angle, length = random.uniform(0, np.pi), random.uniform(40, 190)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        _line(photo, mask, start, end, (235, 240, 240), 2)


def _wires(photo: Picture, mask: Picture) -> None:
    width = mask.shape[1]
    for left, right in ((40, 95), (75, 120), (300, 250)):
        _line(photo, mask, np.array((0, left)), np.array((width, right)), (30, 28, 26), 3)


def _line(
    photo: Picture,
    mask: Picture,
    start: NDArray[Any],
    end: NDArray[Any],
    colour: tuple[int, int, int],
    width: int,
) -> None:
    ends = [tuple(int(v) for v in point) for point in (start, end)]
    cv2.line(photo, ends[0], ends[1], colour, width, cv2.LINE_AA)
    cv2.line(mask, ends[0], ends[1], (255,), width + 2, cv2.LINE_AA)


def drop(sample: Sample, inbox: Path) -> None:
    """Write a pair into an inbox, as a person would: the mask under ``NAME_mask.png``."""
    folder = inbox / sample.folder
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{sample.name}{sample.suffix}"), sample.photo)
    cv2.imwrite(str(folder / f"{sample.name}_mask.png"), sample.mask)
