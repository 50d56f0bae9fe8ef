"""Pure: one picture at several sizes, and how a coarse and a fine answer become one.

A network that sees a large hole reduced gets its structure right but no texture; one that sees it
in full-size tiles the other way round. So each octave is taken from the level where it is the
highest one (the Laplacian pyramid of Burt and Adelson, "The Laplacian Pyramid as a Compact Image
Code", 1983), and it is left out where the two levels saw different things.

Pixel y of a level lies over the pixels 2y and 2y + 1 of the next finer one.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]

_STRIP = 1 << 20  # pixels worked on at a time
_STRUCTURE = 4.0  # px; what is finer is texture, which may differ between the levels
_DISAGREEMENT = 0.1  # of the range: where structures differ by so much, 1/e of the detail is left
_TRUST = 16.0  # px from known pixels on which the fine level is led by them


def depth(sides: tuple[int, int], largest: int) -> int:
    """How often a crop of these sides is halved until it is within ``largest``."""
    return (-(-max(sides) // largest) - 1).bit_length()


def halved_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the next coarser level; a last odd row or column gets a pixel too."""
    return -(-size[0] // 2), -(-size[1] // 2)


def halved(image: NDArray[Any]) -> NDArray[Any]:
    """The next coarser level of a picture [h, w, C] of any type: means of 2 × 2 pixels."""
    size = halved_size((image.shape[0], image.shape[1]))
    out = np.empty((*size, image.shape[2]), image.dtype)
    rows = max(2, _STRIP // image.shape[1] // 2 * 2)
    for top in range(0, image.shape[0], rows):
        part = np.ascontiguousarray(image[top : top + rows])
        odd = part.shape[0] % 2, part.shape[1] % 2
        even = cv2.copyMakeBorder(part, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE)
        target = out[top // 2 : top // 2 + even.shape[0] // 2]
        mean = cv2.resize(even, target.shape[1::-1], interpolation=cv2.INTER_AREA)
        target[...] = mean.reshape(target.shape)
    return out


def halved_hole(hole: Grey) -> Grey:
    """The next coarser level of a hole [h, w]: hole wherever one of the 2 × 2 pixels is."""
    odd = hole.shape[0] % 2, hole.shape[1] % 2
    even = np.pad(hole, ((0, odd[0]), (0, odd[1]))) if any(odd) else hole
    rows: Grey = np.maximum(even[0::2], even[1::2])
    return np.ascontiguousarray(np.maximum(rows[:, 0::2], rows[:, 1::2]))


def doubled(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A picture [h, w, 3] enlarged to the next finer level, of ``size``; keeps its type."""
    twice = (2 * image.shape[1], 2 * image.shape[0])
    large = cv2.resize(image, twice, interpolation=cv2.INTER_CUBIC)
    return np.asarray(large[: size[0], : size[1]])


def merge(coarse: Floats, fine: Floats, trust: Floats | None = None) -> Floats:
    """The structure of ``coarse`` with the texture of ``fine``: both [h, w, 3] float32.

    coarse: the coarser level's picture, doubled. fine: of the same place, from an even pixel of
    its level on. trust: [h, w], 0 to 1, how far the fine level is right whatever the coarse one
    says; nowhere if left out.

    The top octave of ``fine`` is added to ``coarse``; it fades out as exp(−(d/σ)²) where the
    structures of the two lie d apart, because an edge that only one level knows would leave a
    ghost.
    """
    low = doubled(halved(fine), fine.shape[:2])
    agreement = _agreement(low - coarse)
    merged = coarse + agreement[..., None] * (fine - low)
    if trust is not None:
        merged = trust[..., None] * fine + (1 - trust[..., None]) * merged
    return np.asarray(merged, np.float32)


def _agreement(apart: Floats) -> Floats:
    """From 0 to 1 [h, w], of what lies between the structures; at half the size it costs less."""
    smooth = cv2.GaussianBlur(halved(apart), (0, 0), _STRUCTURE / 2)
    red, green, blue = cv2.split(np.abs(smooth))
    worst = np.maximum(np.maximum(red, green), blue) / np.float32(_DISAGREEMENT)
    agreement = np.exp(-np.square(worst))
    twice = (2 * agreement.shape[1], 2 * agreement.shape[0])
    wide = cv2.resize(agreement, twice, interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide[: apart.shape[0], : apart.shape[1]], np.float32)


def trusted(hole: Grey) -> Floats:
    """How far the fine level is right by itself [h, w]: 1 on known pixels, 0 far inside the hole.

    It sees the known pixels as they are, and has to go on from them without a seam.
    """
    distance = cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.clip(1 - distance / np.float32(_TRUST), 0, 1), np.float32)


def to_samples(values: Floats, dtype: np.dtype[Any]) -> Pixels:
    """Values in [0, 1] as integer samples over their full range, rounded to the nearest."""
    top = np.float32(np.iinfo(dtype).max)
    samples: Pixels = np.floor(np.clip(values, 0, 1) * top + np.float32(0.5)).astype(dtype)
    return samples
