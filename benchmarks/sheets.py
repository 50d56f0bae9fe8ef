"""Pictures side by side, with a word over each column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]

_GAP, _HEAD = 4, 22  # pixels
_MARK = np.array([255, 0, 255], np.uint8)


def write(path: Path, heads: Sequence[str], rows: Sequence[Sequence[Photo]], side: int) -> None:
    """A PNG of pictures [H, W, 3] RGB, each at most ``side`` pixels long, heads over the columns.

    Makes the folder. Raises OSError where it can't be written.
    """
    tiles = [_row([_tile(picture, side) for picture in row]) for row in rows]
    whole = np.vstack([_heads(heads, side), *tiles])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), whole[..., ::-1]):
        raise OSError(f"{path} can't be written")


def marked(photo: Photo, hole: NDArray[np.uint8]) -> Photo:
    """The photo with its hole in magenta."""
    return np.where(hole[..., None] > 0, _MARK, photo)


def around(hole: NDArray[np.uint8], margin: int) -> tuple[slice, slice]:
    """Rows and columns around a hole, as nearly square as the photo allows."""
    left, top, width, height = cv2.boundingRect(hole)
    side = max(width, height) + 2 * margin
    spans = []
    for start, length, limit in ((top, height, hole.shape[0]), (left, width, hole.shape[1])):
        first = max(0, min(start + length // 2 - side // 2, limit - side))
        spans.append(slice(first, min(limit, first + side)))
    return spans[0], spans[1]


def _tile(picture: Photo, side: int) -> Photo:
    scale = min(1.0, side / max(picture.shape[:2]))
    size = tuple(max(1, round(length * scale)) for length in picture.shape[1::-1])
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile = np.full((side + _GAP, side + _GAP, 3), 255, np.uint8)
    tile[: size[1], : size[0]] = small
    return tile


def _row(tiles: Sequence[Photo]) -> Photo:
    """Without what is white below all of them."""
    row = np.hstack(tiles)
    filled = np.flatnonzero((row < 255).any(axis=(1, 2)))
    return row[: int(filled[-1]) + 1 + _GAP] if len(filled) else row


def _heads(heads: Sequence[str], side: int) -> Photo:
    band = np.full((_HEAD, len(heads) * (side + _GAP), 3), 255, np.uint8)
    for number, head in enumerate(heads):
        # The font knows ASCII only.
        plain, at = head.replace("–", "-").replace("²", "2"), number * (side + _GAP) + 2
        cv2.putText(band, plain, (at, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return band
