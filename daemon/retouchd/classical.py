"""The model ``classical``: inpainting without a network.

Bertalmio, Bertozzi, Sapiro, "Navier-Stokes, fluid dynamics, and image and video inpainting" (CVPR
2001) in OpenCV's marching form carries edges on into the hole. It works on float32, so 16-bit
photos get a fill that is finer than 8 bits.

Deep inside a hole what it carried so far is streaks, and costs seconds per megapixel. So it goes
from coarse to fine: what is deeper than a few pixels comes from the same done at half the size, and
so on; only near its border is a hole marched at full size. On photos that is 0.4 to 1 dB closer to
the truth than marching alone (measured).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.samples import Unit, is_hole, to_unit

_RADIUS = 3.0
_THIN = 3.0  # px to the next known pixel, at most: such holes are only marched
_BAND = 12.0  # px from the border that are marched …
_RAMP = 6.0  # … and over how many the coarse fill takes over
_SWEEPS = 8


def fill(image: Pixels, mask: NDArray[np.uint8]) -> Unit:
    """The image with its hole filled from around it; mid-grey if nothing around it is known.

    image: [H, W, 3] uint8 or uint16. mask: [H, W] uint8, 255 in the hole.
    Returns [H, W, 3] float32 in [0, 1]; known pixels are the input's.
    """
    hole = is_hole(mask)
    if hole.all():
        return np.full(image.shape, 0.5, np.float32)
    known = to_unit(image)
    known[hole] = 0.0
    return np.clip(diffused(known, hole), 0.0, 1.0)


def diffused(image: Unit, hole: NDArray[np.bool_]) -> Unit:
    """The image [H, W, C], at most four channels of any range, with its hole [H, W] filled.

    It is 0 in its hole, which is not all of it; known samples stay.
    """
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    if depth.max() <= _THIN or min(hole.shape) < 4:
        return _march(image, hole)
    coarse = diffused(*_halved(image, hole))
    height, width = hole.shape
    guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    inner = _settle(np.where(hole[..., None], guess, image), hole)
    deep = np.asarray(depth > _BAND)
    outer = _march(np.where(deep[..., None], inner, image), hole & ~deep)
    share = np.minimum(depth / _RAMP, 1)[..., None]
    return np.where(hole[..., None], outer + share * (inner - outer), image)


def _march(image: Unit, hole: NDArray[np.bool_]) -> Unit:
    """OpenCV takes float32 one channel at a time only, and leaves holes in a single row.

    Hence the border of one repeated pixel.
    """
    mask = _framed(hole.astype(np.uint8))
    planes = [
        cv2.inpaint(_framed(plane), mask, _RADIUS, cv2.INPAINT_NS)[1:-1, 1:-1]
        for plane in cv2.split(image)
    ]
    return np.asarray(cv2.merge(planes), np.float32)


def _framed(plane: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_REPLICATE))


def _halved(image: Unit, hole: NDArray[np.bool_]) -> tuple[Unit, NDArray[np.bool_]]:
    """Half the size; each pixel is the mean of the known ones below it, a hole if there are none.

    ``image`` is 0 in its hole.
    """
    height, width = hole.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    share = cv2.resize((~hole).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    lost = np.asarray(share < 1e-3)
    mean = np.where(lost[..., None], 0.0, total / np.maximum(share, 1e-3)[..., None])
    return mean.astype(np.float32), lost


def _settle(image: Unit, hole: NDArray[np.bool_]) -> Unit:
    """Diffuse the hole for a few sweeps, so that it meets its border without a seam."""
    for _ in range(_SWEEPS):
        smooth = cv2.blur(image, (3, 3), borderType=cv2.BORDER_REPLICATE)
        np.copyto(image, smooth, where=hole[..., None])
    return image
