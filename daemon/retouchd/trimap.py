"""Pure: from a rough mask to a trimap: surely subject, surely background, and to be found out.

A trimap is [H, W] float32: 1 subject, 0 background, 0.5 unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.scaling import Size, resized

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Grey = NDArray[np.uint8]

UNKNOWN = np.float32(0.5)
_CORE = 0.6  # of a part's own half width may become unknown, so that none vanishes
_SPECK = 0.02  # parts smaller than this share of the subject may be slips of the brush,
_DUST = 0.005  # and those smaller than this are


@dataclass(frozen=True)
class BandSettings:
    """How far a rough mask may be off.

    share: half width of the unknown band, as a share of the subject's size, which is the square
        root of its area. least, most: limits to the half width, in pixels.
    """

    share: float = 0.025
    least: float = 3.0
    most: float = 200.0


def half_width(mask: Grey, settings: BandSettings = BandSettings()) -> float:
    """Half the width of the unknown band around a rough mask, in pixels."""
    size = float(cv2.countNonZero(mask)) ** 0.5
    width: float = min(settings.most, max(settings.least, settings.share * size))
    return width


def from_mask(mask: Grey, settings: BandSettings = BandSettings()) -> Alpha:
    """A trimap around the edges of a rough mask.

    mask: [H, W] uint8, subject where it is over 127. The photo's border is no edge. Of every
    separate part some stays surely subject, however thin it is; but parts of under 2 % of the
    subject are unknown as a whole, and of under 0.5 % background.
    """
    subject = _without_dust((mask > 127).astype(np.uint8))
    reach = half_width(subject, settings)
    outside = cv2.distanceTransform(1 - subject, cv2.DIST_L2, cv2.DIST_MASK_5)
    inside = _depth(subject)
    trimap = np.full(mask.shape, UNKNOWN, np.float32)
    if subject.any():
        trimap[outside > reach] = 0
        trimap[_deep(subject, inside, reach)] = 1
    else:
        trimap[:] = 0
    if subject.all():
        trimap[:] = 1
    return trimap


def from_alpha(alpha: Alpha, grow: int, *, sure: float = 0.02) -> Alpha:
    """A trimap where an alpha is within ``sure`` of 0 or 1, and ``grow`` px away from where not."""
    undecided = ((alpha > sure) & (alpha < 1 - sure)).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    trimap = np.round(alpha)
    # A hard edge is no less uncertain for having no grey pixel.
    undecided |= cv2.morphologyEx(trimap, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    trimap[cv2.dilate(undecided, disc) > 0] = UNKNOWN
    return trimap


def prior_from(mask: Grey, reach: float) -> Alpha:
    """A rough mask as a first guess of alpha: its edge as a slope of about ``2 * reach`` px."""
    hard = np.multiply(mask > 127, np.float32(1), dtype=np.float32)
    # A wide blur of a large mask costs a second; what it leaves has no detail to lose.
    step = max(1, int(reach / 8))
    height, width = hard.shape
    small = resized(hard, (-(-height // step), -(-width // step)))
    soft = cv2.GaussianBlur(small, (0, 0), max(0.5, reach / 2 / step))
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def reduced(trimap: Alpha, size: Size) -> Alpha:
    """A trimap at a smaller (height, width): known only where all that goes into a pixel is."""
    subject, background = (resized((trimap == side).astype(np.float32), size) for side in (1, 0))
    small = np.full(size, UNKNOWN, np.float32)
    small[subject > 1 - 1e-4] = 1
    small[background > 1 - 1e-4] = 0
    return small


def _without_dust(subject: Grey) -> Grey:
    """Without what a brush slipped; a subject that is mostly of crumbs keeps them."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(subject, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    kept = area >= max(1.0, _DUST * float(area.sum()))
    if kept[1:].all() or area[~kept].sum() > _SPECK * area.sum():
        return subject
    return np.asarray(kept[labels], np.uint8)


def _depth(subject: Grey) -> Alpha:
    """How far from the subject's edge its pixels lie; the photo's border is no edge."""
    # Without an edge there is no distance to it.
    if subject.all():
        return np.full(subject.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(subject, cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)


def _deep(subject: Grey, depth: Alpha, reach: float) -> NDArray[np.bool_]:
    """What lies deeper than ``reach``; in parts too thin for that, what is deepest there."""
    deep: NDArray[np.bool_] = depth > reach
    count, labels, stats, _ = cv2.connectedComponentsWithStats(subject, connectivity=8)
    least = min(_SPECK * np.count_nonzero(subject), stats[1:, cv2.CC_STAT_AREA].max())
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[number])
        box = slice(top, top + height), slice(left, left + width)
        if area >= least:
            part = labels[box] == number
            enough = _CORE * float(depth[box][part].max())
            if enough < reach:
                deep[box] |= part & (depth[box] > enough)
    return deep
