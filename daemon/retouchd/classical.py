"""The model ``classical``: inpainting without a network.

Small holes: Bertalmio, Bertozzi, Sapiro, "Navier-Stokes, fluid dynamics, and image and video
inpainting" (CVPR 2001) in OpenCV's marching form, which carries edges on into the hole. It works
on float32, so 16-bit photos get a fill that is finer than 8 bits.

Large holes would cost seconds per megapixel and fill with streaks, so they are solved on a
halved image first; the result is enlarged and smoothed into the known pixels. The time of that
grows by well under a second per megapixel of region.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.samples import Unit, is_hole, to_unit

_RADIUS = 3.0
_DIRECT = 1 << 18  # hole pixels; about 0.3 s of marching
_SWEEPS = 12


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
    return np.clip(_solve(known, hole), 0.0, 1.0)


def _solve(image: Unit, hole: NDArray[np.bool_]) -> Unit:
    if np.count_nonzero(hole) <= _DIRECT:
        return _march(image, hole)
    coarse = _solve(*_halved(image, hole))
    height, width = hole.shape
    guess = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return _settle(np.where(hole[..., None], guess, image), hole)


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
