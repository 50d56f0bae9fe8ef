"""Pure: a small alpha at its photo's size, with the photo's edges.

He, Sun, "Fast Guided Filter" (arXiv 1505.00996): alpha as a linear function of colour is fitted
on the small scale, where it is smooth, and only the coefficients are enlarged. What that blurs
comes back by back-projection (Irani, Peleg 1991): the enlarged alpha, reduced again, must be the
small one. A fit is believed as far as it stands a trial on the next smaller scale. All of that
happens in the band where the small alpha is undecided, patch by patch; the rest is interpolated
linearly.

Photos are [H, W, C] uint8 or uint16, small alphas [h, w] float32 in [0, 1]. A cell is what a pixel
of the small alpha covers of the photo; cells need not begin where pixels do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.guided import Alpha, Colours, Fit, apply, fit
from retouchd.patchwork import Patch, Patchwork, patches
from retouchd.scale_check import REACH, Grain, believed, grain_of
from retouchd.scaling import Span, evened, halved, resized, sampled, unit_colours

Band = NDArray[np.uint8]  # [h, w], 1 where the small alpha is undecided
_Stored = Callable[[NDArray[Any]], NDArray[Any]]  # an alpha within its range, in the wanted type

_SURE = 0.02  # alphas as near to 0 or 1, and alike all around, are decided
_FLAT = 5e-5  # variance of colour
_RESTORED = 1.5  # times what a fit misses of the small alpha: enlarging smooths it once more
_GAIN = 1.3  # times what the enlarged alpha misses of it: clipping takes some
_PATCH = (160, 512)  # px, at most: with its frame a patch stays in the processor's cache
_GAP = 16  # cells: to work on them costs less than another patch
_HALO = 2  # cells around a patch that are compared
_FITS = _HALO + 1  # and whose fits bear on those
_GREY = (0.299, 0.587, 0.114)  # what OpenCV's grey has of each colour


def enlarge(pixels: Pixels, small: Alpha, guide: Pixels | None = None) -> Alpha:
    """A small alpha [h, w] of the whole photo at the photo's size [H, W] in [0, 1].

    guide: the photo at the small size [h, w, 1 to 4], if it is there already. The cost grows with
    the photo only by a linear interpolation; the rest grows with the band. An alpha that is not
    smaller than the photo is only resized.
    """
    return _enlarged(pixels, small, guide, _unit)


def enlarge_to_bytes(
    pixels: Pixels, small: Alpha, guide: Pixels | None = None
) -> NDArray[np.uint8]:
    """As ``enlarge``, but 0 to 255 and rounded: all that an 8-bit photo can keep, in less time."""
    return _enlarged(pixels, small, guide, _bytes)


def _enlarged(pixels: Pixels, small: Alpha, guide: Pixels | None, stored: _Stored) -> NDArray[Any]:
    size = (pixels.shape[0], pixels.shape[1])
    if small.shape[0] >= size[0] or small.shape[1] >= size[1]:
        return stored(resized(small, size))
    small = _unit(small)
    plain = stored(small)
    out: NDArray[Any] = np.empty(size, plain.dtype)
    cv2.resize(plain, size[::-1], dst=out, interpolation=cv2.INTER_LINEAR)
    band = undecided(small)
    grid = _Grid(_Axis(size[0], small.shape[0]), _Axis(size[1], small.shape[1]))
    parts = tuple(patches(band, *grid.patch, _GAP))
    if not parts:
        return out
    guide = _reduced(pixels, small.shape) if guide is None else guide
    fitted = _fitted(guide, small, grain_of(pixels), parts)
    for part in parts:
        found = stored(_sharpened(pixels, small, fitted, grid, part))
        own = grid.own(part)
        held = grid.onto(own, band[part.slices], part, cv2.INTER_NEAREST)
        cv2.copyTo(found, held, out[own.slices])
    return out


def undecided(small: Alpha) -> Band:
    """1 where an alpha or a neighbour is neither 0 nor 1, or where it changes; else 0."""
    near = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(small, near), cv2.dilate(small, near)
    return np.asarray(~((high < _SURE) | (low > 1 - _SURE)), np.uint8)


class _Axis:
    """One axis: its pixels, and its cells."""

    def __init__(self, pixels: int, cells: int) -> None:
        self.pixels, self.scale = pixels, pixels / cells
        borders = np.arange(cells + 1) * self.scale
        # The pixel that the border is in, and how much of it lies before.
        self._whole = np.minimum(borders.astype(np.int64), pixels - 1)
        self._rest = borders - self._whole

    def own(self, cells: Span) -> Span:
        """The pixels of some cells, where every pixel belongs to one."""
        return round(cells[0] * self.scale), round(cells[1] * self.scale)

    def under(self, cells: Span) -> Span:
        """The pixels that the borders of some cells are in, and those between."""
        return int(self._whole[cells[0]]), int(self._whole[cells[1]]) + 1

    def borders(self, cells: Span) -> tuple[NDArray[Any], NDArray[Any]]:
        """For each border of some cells its pixel under them, and how much of that lies before."""
        some = slice(cells[0], cells[1] + 1)
        return self._whole[some] - self._whole[cells[0]], self._rest[some]

    def centres(self, pixels: Span, cells: Span) -> tuple[float, float]:
        """The step between pixels, and the centre of the first, in cells from the first centre."""
        return 1 / self.scale, (pixels[0] + 0.5) / self.scale - 0.5 - cells[0]


@dataclass(frozen=True)
class _Grid:
    """How pixels and cells lie upon each other.

    Both ways could be products with matrices; but numpy has those done by threads that wait for
    each other by spinning, which costs many times the work.
    """

    down: _Axis
    across: _Axis

    @property
    def patch(self) -> tuple[int, int]:
        """How many cells a patch may be high and wide."""
        return round(_PATCH[0] / self.down.scale) or 1, round(_PATCH[1] / self.across.scale) or 1

    def own(self, cells: Patch) -> Patch:
        return Patch(self.down.own(cells.rows), self.across.own(cells.columns))

    def under(self, cells: Patch) -> Patch:
        return Patch(self.down.under(cells.rows), self.across.under(cells.columns))

    def onto(
        self, pixels: Patch, values: NDArray[Any], cells: Patch, how: int = cv2.INTER_LINEAR
    ) -> NDArray[Any]:
        """Values of cells, interpolated at pixels; at the photo's border they repeat."""
        (down, top), (across, left) = (
            self.down.centres(pixels.rows, cells.rows),
            self.across.centres(pixels.columns, cells.columns),
        )
        step = np.array([[across, 0, left], [0, down, top]])
        flags, border = how | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
        return cv2.warpAffine(values, step, pixels.shape[::-1], flags=flags, borderMode=border)

    def means(self, samples: NDArray[Any], cells: Patch) -> NDArray[np.float64]:
        """The mean under each of the cells, of the samples of all pixels under them [H, W]."""
        # Sums of whole numbers are exact, and within a pixel they grow evenly.
        summed = cv2.integral(samples)
        rows, above = self.down.borders(cells.rows)
        columns, before = self.across.borders(cells.columns)
        first, above = summed[rows], above[:, None]
        level = first + above * (summed[rows + 1] - first)
        level = level[1:] - level[:-1]
        left = level[:, columns]
        level = left + before * (level[:, columns + 1] - left)
        mean: NDArray[np.float64] = level[:, 1:] - level[:, :-1]
        mean /= self.down.scale * self.across.scale
        return mean


def _reduced(pixels: Pixels, size: tuple[int, ...]) -> Pixels:
    return halved(sampled(pixels, (2 * size[0], 2 * size[1])))


def _fitted(guide: Pixels, small: Alpha, grain: Grain, parts: tuple[Patch, ...]) -> Fit:
    """The small alpha as a linear function of colour [h, w, 4], in and around the patches."""
    guide, plane = evened(guide), evened(small)
    # Of patches side by side every two pixels shall be two of the plane.
    work = Patchwork(tuple(part.evened() for part in parts), _FITS + REACH)
    colours, alpha = unit_colours(work.of(guide)), work.of(plane)
    found = _model(colours, alpha)
    trust = believed(colours, alpha, found, grain, _model)
    found *= cv2.merge([trust] * 4)
    found[..., 3] += (1 - trust) * alpha
    found *= np.array([*(1 / part for part in _GREY), 1], np.float32)
    fitted = np.zeros((*plane.shape, 4), np.float32)
    work.back(found, fitted, _FITS)
    return fitted


def _model(guide: Colours, alpha: Alpha) -> Fit:
    found = fit(guide, alpha, 1, eps=_FLAT)
    found[..., 3] += np.float32(_RESTORED) * (alpha - np.clip(apply(found, guide), 0, 1))
    return found


def _sharpened(pixels: Pixels, small: Alpha, fitted: Fit, grid: _Grid, patch: Patch) -> Alpha:
    """The alpha of a patch's own pixels; may leave [0, 1]."""
    near, fits = (patch.grown(by, small.shape) for by in (_HALO, _FITS))
    part, own = grid.under(near), grid.own(patch)
    first = _guided(pixels[part.slices], grid.onto(part, fitted[fits.slices], fits))
    # Eight bits are enough for a mean.
    bits = cv2.convertScaleAbs(first, alpha=255)
    missing = small[near.slices] - grid.means(bits, near) / 255
    rest = grid.onto(own, _compensated(missing), near)
    return np.asarray(cv2.add(first[own.within(part).slices], rest), np.float32)


def _guided(pixels: Pixels, fitted: Fit) -> Alpha:
    """The alpha that fits [H, W, 4] make of a part of the photo, in [0, 1]."""
    unit = 1 / np.iinfo(pixels.dtype).max
    products = cv2.multiply(_four(pixels), fitted, scale=unit, dtype=cv2.CV_32F)
    # Grey is the fastest sum of three channels; the fits make up for its weights.
    slope = cv2.cvtColor(products, cv2.COLOR_RGBA2GRAY)
    return _unit(cv2.add(slope, cv2.extractChannel(fitted, 3)))


def _four(pixels: Pixels) -> NDArray[Any]:
    """A photo's colours as RGB, and a fourth channel that means nothing."""
    if pixels.shape[2] == 4:
        return pixels
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)
    return cv2.cvtColor(np.ascontiguousarray(pixels[..., 0]), cv2.COLOR_GRAY2RGBA)


def _compensated(missing: NDArray[np.float64]) -> NDArray[Any]:
    """What to interpolate so that what is missing comes out on average.

    The mean over a cell of what is interpolated linearly is an eighth of each neighbour and three
    quarters of its own; this is the first term of what undoes that.
    """
    kernel, border = np.array([1, 6, 1]) / 8, cv2.BORDER_REPLICATE
    smooth = cv2.sepFilter2D(missing, cv2.CV_64F, kernel, kernel, borderType=border)
    return cv2.addWeighted(missing, 3 * _GAIN, smooth, -2 * _GAIN, 0, dtype=cv2.CV_32F)


def _unit(alpha: NDArray[Any]) -> Alpha:
    unit: Alpha = np.clip(alpha, 0, 1, dtype=np.float32)
    return unit


def _bytes(alpha: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(cv2.addWeighted(alpha, 255, alpha, 0, 0, dtype=cv2.CV_8U), np.uint8)
