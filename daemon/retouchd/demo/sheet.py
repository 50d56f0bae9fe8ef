"""A contact sheet: before, mask and after side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.errors import StartError

Picture = NDArray[np.uint8]
TILE = (420, 300)
_GAP = 8
_HEAD = 28
_PAPER = 245


@dataclass(frozen=True)
class Row:
    """One pair and its result; BGR [H, W, 3] uint8, the mask too."""

    before: Picture
    mask: Picture
    after: Picture


def contact_sheet(rows: Sequence[Row]) -> Picture:
    """The rows under each other, as BGR [H, W, 3]."""
    width, height = TILE
    sheet = np.full(
        (_HEAD + len(rows) * (height + _GAP) + _GAP, 3 * (width + _GAP) + _GAP, 3),
        _PAPER,
        np.uint8,
    )
    for column, title in enumerate(("before", "mask", "after")):
        _write(sheet, title, (_GAP + column * (width + _GAP), 20))
    for number, row in enumerate(rows):
        top = _HEAD + number * (height + _GAP)
        for column, picture in enumerate((row.before, row.mask, row.after)):
            left = _GAP + column * (width + _GAP)
            sheet[top : top + height, left : left + width] = _tile(picture)
    return sheet


def _tile(picture: Picture) -> Picture:
    """The whole picture in the middle of a tile."""
    width, height = TILE
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    tile = np.full((height, width, 3), _PAPER, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def _write(sheet: Picture, text: str, at: tuple[int, int]) -> None:
    cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (60, 60, 60), 1, cv2.LINE_AA)


def read(path: Path) -> Picture:
    """A picture as BGR, on white where it is transparent; raises StartError where it can't be
    read."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise StartError(cause=f"{path} can't be read")
    if picture.ndim == 2:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    if picture.shape[2] == 3:
        return np.asarray(picture, np.uint8)
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.asarray(np.round(picture[..., :3] * alpha + 255 * (1 - alpha)), np.uint8)


def save(sheet: Picture, path: Path) -> None:
    """Write a PNG."""
    cv2.imwrite(str(path), sheet)
