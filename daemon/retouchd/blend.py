"""Pure: from a photo to what the engine gets, and from its answer back into the photo.

Photos are [H, W, C] uint8 or uint16, C = 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha. Holes are
[H, W] uint8, 255 where the photo is to be made up. Work is done in strips of the crop, so that
nothing here costs more than the crop itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd import drift, grain
from retouchd.engine import Pixels
from retouchd.masks import scaled
from retouchd.regions import Box, Region

Blend = Literal["feather", "hard"]
Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]

_STRIP = 1 << 20  # pixels worked on at a time
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_BAND = 8  # px beside a hole's edge that show how lively the photo is there


def cut(pixels: Pixels, hole: Grey, region: Region) -> tuple[Pixels, Grey]:
    """The engine's input: RGB [h, w, 3] of the photo's type and mask [h, w], of ``region.size``.

    Grey is repeated, alpha is dropped. Every hole pixel in the crop is masked, other regions' too;
    where the crop is reduced, a pixel is masked if any hole pixel went into it.
    """
    crop = pixels[region.box.slices]
    mask = hole[region.box.slices]
    colours = crop[..., : _colours(pixels)]
    size = region.size
    image = np.empty((*size, 3), pixels.dtype)
    if size == mask.shape:
        image[...] = colours
        return image, np.array(mask, order="C")
    plain: NDArray[Any] = np.ascontiguousarray(colours)
    image[...] = cv2.resize(plain, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, -1)
    return image, scaled(mask, size)


def _colours(pixels: Pixels) -> int:
    return 1 if pixels.shape[2] < 3 else 3


def request_bytes(region: Region, pixels: Pixels) -> int:
    """What a region costs in memory from ``cut`` to ``paste``: image, mask and float32 result."""
    return region.cost * (3 * pixels.dtype.itemsize + 1 + 3 * 4)


def paste(
    pixels: Pixels,
    hole: Grey,
    region: Region,
    result: Floats,
    *,
    blend: Blend = "feather",
    feather_px: int = 4,
    colour: bool = False,
    with_grain: bool = False,
) -> None:
    """Write a region's result ([h, w, 3] RGB float32 in [0, 1], of ``region.size``) in place.

    Only hole pixels in the region's core change, and alpha never does; grey photos get the luma.
    hard: the result replaces them, as it is. feather: its weight rises with the distance to the
    nearest known pixel, from 0 on that pixel to 1 at ``feather_px``; the photo's border is no edge.
    What was marked vanishes wholly only if ``feather_px`` is at most what the hole was grown by.
    Before that, ``colour`` shifts its colours to those around the hole (see drift.py), and
    ``with_grain`` adds the photo's grain where it has less of its own (grain.py).

    Raises ValueError for a result of another size.
    """
    if result.shape != (*region.size, 3):
        raise ValueError(f"a result of {result.shape} can't be pasted into {region.size}")
    soft = blend == "feather"
    ramp = feather_px if soft else 0
    shift = _drift(pixels, hole, region, result) if colour and soft else None
    fill = _Fill(_widened(result, region), region, shift, _colours(pixels))
    lack = _grain(pixels, hole, region, fill) if with_grain and soft else None
    for part in _strips(region.core):
        inside = hole[part.slices] > 0
        if not inside.any():
            continue
        fresh = fill.at(part)
        if lack is not None:
            fresh = fresh + lack.noise(part, fresh)
        weight = _weights(hole, part, ramp)[inside] if ramp > 1 else None
        _mix(pixels[part.slices], inside, fresh[inside], weight)


def _drift(pixels: Pixels, hole: Grey, region: Region, result: Floats) -> drift.Drift | None:
    """At the result's own resolution: a reduced photo has lost what the model never saw."""
    image, mask = cut(pixels, hole, region)
    return drift.measured(image, mask, result)


def _grain(pixels: Pixels, hole: Grey, region: Region, fill: _Fill) -> grain.Grain | None:
    """At the photo's resolution, where a reduced result has next to none."""
    return grain.missing(pixels[..., : _colours(pixels)], hole, region.core, fill.at)


@dataclass(frozen=True, eq=False)
class _Fill:
    """A region's result at the photo's resolution, made part by part."""

    wide: Floats
    region: Region
    shift: drift.Drift | None
    channels: int

    def at(self, part: Box) -> Floats:
        """The fill of a part of the photo: [h, w, 3], or [h, w, 1] for a grey one."""
        fresh = _rows(self.wide, self.region, part)
        if self.shift is not None:
            fresh = fresh + self.shift.at(*_centres(self.region, part))
        return fresh if self.channels > 1 else fresh @ _LUMA[:, None]


def _centres(region: Region, part: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a part's rows and columns of pixels lie in the result, in its pixels."""
    box, (height, width) = region.box, region.size
    rows = part.top - box.top + np.arange(part.height) + 0.5
    columns = part.left - box.left + np.arange(part.width) + 0.5
    return rows * height / box.height - 0.5, columns * width / box.width - 0.5


def _strips(box: Box) -> Iterator[Box]:
    rows = max(1, _STRIP // box.width)
    for top in range(box.top, box.top + box.height, rows):
        yield Box(top, box.left, min(rows, box.top + box.height - top), box.width)


def _mix(target: Pixels, inside: NDArray[np.bool_], fresh: Floats, weight: Floats | None) -> None:
    """Write fresh colours [N, 3 or 1] in [0, 1] to the pixels inside [h, w], weighted [N]."""
    top = np.float32(np.iinfo(target.dtype).max)
    channels = _colours(target)
    value = np.clip(fresh, 0, 1) * top
    if weight is not None:
        old = target[inside, :channels].astype(np.float32)
        value = old + weight[:, None] * (value - old)
    target[inside, :channels] = np.floor(value + np.float32(0.5)).astype(target.dtype)


def _weights(hole: Grey, part: Box, ramp: int) -> Floats:
    """The result's weight [h, w] in a part of the photo."""
    top, left = max(part.top - ramp, 0), max(part.left - ramp, 0)
    around = hole[top : part.top + part.height + ramp, left : part.left + part.width + ramp]
    # what lies outside the photo is not seen as an edge: only zeros within the array are
    distance = cv2.distanceTransform(around, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    y, x = part.top - top, part.left - left
    inner = distance[y : y + part.height, x : x + part.width]
    weights: Floats = np.minimum(inner / np.float32(ramp), 1, dtype=np.float32)
    return weights


def _widened(result: Floats, region: Region) -> Floats:
    """The result at the crop's full width, still with its own rows."""
    if result.shape[1] == region.box.width:
        return result
    size = (region.box.width, result.shape[0])
    wide = cv2.resize(result, size, interpolation=cv2.INTER_CUBIC)
    return wide.astype(np.float32, copy=False)


def _rows(wide: Floats, region: Region, part: Box) -> Floats:
    """A part of the photo [h, w, 3] from a result at the crop's full width."""
    columns = slice(part.left - region.box.left, part.left - region.box.left + part.width)
    first = part.top - region.box.top
    if wide.shape[0] == region.box.height:
        return wide[first : first + part.height, columns]
    ratio = wide.shape[0] / region.box.height
    centre = (np.arange(first, first + part.height) + 0.5) * ratio - 0.5
    base = np.floor(centre).astype(np.int64)
    out = np.zeros((part.height, part.width, 3), np.float32)
    for tap in range(-1, 3):
        rows = np.clip(base + tap, 0, wide.shape[0] - 1)
        weight = _cubic(centre - base - tap).astype(np.float32)
        out += weight[:, None, None] * wide[rows, columns]
    return out


def _cubic(distance: NDArray[np.float64], a: float = -0.75) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel (1981), with the slope that OpenCV uses."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def same_outside(first: Pixels, second: Pixels, hole: Grey) -> bool:
    """Whether two photos agree exactly in every channel wherever the hole is 0."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    for part in _strips(Box(0, 0, *hole.shape)):
        one, other = first[part.slices], second[part.slices]
        if np.array_equal(one, other):
            continue
        if (np.any(one != other, axis=2) & (hole[part.slices] == 0)).any():
            return False
    return True


def seam_error(pixels: Pixels, hole: Grey) -> float:
    """How visible a hole's edge is: 1 is as lively as its surroundings, more is a visible step.

    The mean difference between neighbours of which one is in the hole, over that between known
    neighbours within 8 px of it, both with one level of 255 added, so that flat photos count as
    even. 0 if nothing has an edge. Alpha does not count.
    """
    left, top, width, height = cv2.boundingRect(hole)
    if not width:
        return 0.0
    y, x = max(top - _BAND, 0), max(left - _BAND, 0)
    box = Box(
        y,
        x,
        min(top + height + _BAND, hole.shape[0]) - y,
        min(left + width + _BAND, hole.shape[1]) - x,
    )
    total = np.zeros(4)
    for part in _strips(box):
        total += _steps(pixels, hole, part)
    step, edges, lively, known = total
    if not edges:
        return 0.0
    level = np.iinfo(pixels.dtype).max / 255
    calm = lively / known if known else 0.0
    return float((step / edges + level) / (calm + level))


def _steps(pixels: Pixels, hole: Grey, part: Box) -> NDArray[np.float64]:
    """Sum and number of differences across the edge, and between known neighbours near it."""
    end = (part.top + part.height, part.left + part.width)
    top, left = max(part.top - _BAND, 0), max(part.left - _BAND, 0)
    around = hole[top : end[0] + _BAND + 1, left : end[1] + _BAND]
    near = cv2.dilate(around, np.ones((2 * _BAND + 1, 2 * _BAND + 1), np.uint8)) > 0
    # one more row than the strip, so that no pair across two strips is missed
    rows, columns = slice(part.top - top, end[0] - top + 1), slice(part.left - left, end[1] - left)
    inside, near = around[rows, columns] > 0, near[rows, columns]
    image = pixels[part.top : end[0] + 1, part.left : end[1], : _colours(pixels)].astype(np.int32)
    total = np.zeros(4)
    for one, other in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(part.height), slice(None, -1)), (slice(part.height), slice(1, None))),
    ):
        step = np.abs(image[one] - image[other]).mean(axis=2)
        edge = inside[one] != inside[other]
        known = ~inside[one] & ~inside[other] & near[one] & near[other]
        total += (step[edge].sum(), edge.sum(), step[known].sum(), known.sum())
    return total
