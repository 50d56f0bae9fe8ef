"""Pure: how near a repaired photo is to the truth, within its hole.

Photos are [H, W, 3] uint8 RGB, holes [H, W] bool; both photos are equal outside the hole. PSNR and
SSIM compare pixel with pixel, so a blur beats any invented texture. The other two do not:

*edges*, after Xue et al., "Gradient Magnitude Similarity Deviation" (IEEE TIP 2014), on several
scales as Zhang et al. (ICASSP 2017) do. Pooled by the mean (their GMSM): their deviation calls a
hole that is blurred evenly perfect. It asks whether there is as much of an edge, roughly there.

*texture*, after Zujovic et al., "Structural Texture Similarity Metrics for Image Analysis and
Retrieval" (IEEE TIP 2013, STSIM-2): statistics of oriented subbands in a neighbourhood instead of
pixels, so that another patch of the same grass is as good as the grass that was there. Subbands
come from the quadrature pairs G2 and H2 of Freeman and Adelson (IEEE PAMI 1991), in four
directions and three octaves. It is blind to colour and brightness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
Hole = NDArray[np.bool_]
Plane = NDArray[np.float32]  # [H, W]
Subband = NDArray[np.complex64]  # [H, W]

_SIGMA, _TAPS = 1.5, 11  # of SSIM's window
_K1, _K2 = 0.01, 0.03
_STEEP = 170.0  # where gradients of 8-bit samples begin to differ, as published
_OCTAVES = 3
_DIRECTIONS = 4
_NEAR = 4.0  # pixels: the neighbourhood of the texture's statistics, at each octave
_UNSEEN = 1.0  # levels: weaker subbands are no texture
_SEEN = 40  # pixels beside the hole
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Figures:
    """Of what lies in the hole. psnr: dB, over RGB. ssim: mean, of the luma; 1 is the truth.
    edges, texture: distances, 0 for the truth, at most 1."""

    psnr: float
    ssim: float
    edges: float
    texture: float


def compare(result: Photo, truth: Photo, hole: Hole) -> Figures:
    """All of them; raises ValueError for an empty hole or for photos of different sizes."""
    if result.shape != truth.shape or hole.shape != truth.shape[:2]:
        raise ValueError(f"{result.shape}, {truth.shape} and {hole.shape} are not one photo")
    if not hole.any():
        raise ValueError("there is nothing to compare in an empty hole")
    near = _near(hole)
    result, truth, hole = result[near], truth[near], hole[near]
    ours, theirs = luma(result), luma(truth)
    return Figures(
        psnr(result, truth, hole),
        masked_mean(ssim_map(ours, theirs), hole),
        edge_distance(ours, theirs, hole),
        texture_distance(ours, theirs, hole),
    )


def _near(hole: Hole) -> tuple[slice, slice]:
    """All that the figures look at; octaves halve the crop where they would halve the photo."""
    left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
    y, x = (max(0, start - _SEEN) // 8 * 8 for start in (top, left))
    return slice(y, top + height + _SEEN), slice(x, left + width + _SEEN)


def luma(photo: Photo) -> Plane:
    """[H, W] in levels of 255."""
    return np.asarray(photo.astype(np.float32) @ _LUMA, np.float32)


def masked_mean(values: Plane, hole: Hole) -> float:
    """The mean of what lies in the hole."""
    return float(values[hole].mean(dtype=np.float64))


def psnr(result: Photo, truth: Photo, hole: Hole) -> float:
    """Peak signal-to-noise ratio within the hole, in dB; infinite where they are equal."""
    apart = result[hole].astype(np.float64) - truth[hole]
    error = float(np.square(apart).mean())
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim_map(ours: Plane, theirs: Plane, peak: float = 255.0) -> Plane:
    """Structural similarity at every pixel (Wang et al., IEEE TIP 2004): Gaussian windows of
    11 × 11 with σ = 1.5, population variances, mirrored borders."""
    mean_a, mean_b = _window(ours), _window(theirs)
    var_a = _window(ours * ours) - mean_a * mean_a
    var_b = _window(theirs * theirs) - mean_b * mean_b
    both = _window(ours * theirs) - mean_a * mean_b
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return np.asarray(above / below, np.float32)


def _window(plane: Plane) -> NDArray[np.float64]:
    # In float64, because variances are differences of large numbers.
    wide = plane.astype(np.float64)
    size = (_TAPS, _TAPS)
    found = cv2.GaussianBlur(wide, size, _SIGMA, borderType=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float64)


def edge_distance(ours: Plane, theirs: Plane, hole: Hole) -> float:
    """1 − the similarity of gradient magnitudes, the mean of the hole and of three octaves."""
    found = []
    for one, other, inside in _octaves(ours, theirs, hole):
        a, b = _steepness(one), _steepness(other)
        alike = (2 * a * b + _STEEP) / (a * a + b * b + _STEEP)
        found.append(1 - np.average(alike, weights=inside))
    return float(np.mean(found))


def _octaves(ours: Plane, theirs: Plane, hole: Hole) -> Iterator[tuple[Plane, Plane, Plane]]:
    """Both planes and the share of the hole in each pixel, halved from octave to octave."""
    inside = hole.astype(np.float32)
    for octave in range(_OCTAVES):
        if octave:
            ours, theirs, inside = (_halved(plane) for plane in (ours, theirs, inside))
        yield ours, theirs, inside


def _halved(plane: Plane) -> Plane:
    size = tuple(max(1, length // 2) for length in plane.shape[::-1])
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _steepness(plane: Plane) -> Plane:
    """Prewitt's gradient magnitude."""
    slope, flat = np.array([1, 0, -1], np.float32), np.full(3, 1 / 3, np.float32)
    across = cv2.sepFilter2D(plane, cv2.CV_32F, slope, flat)
    down = cv2.sepFilter2D(plane, cv2.CV_32F, flat, slope)
    return np.asarray(np.hypot(across, down), np.float32)


def texture_distance(ours: Plane, theirs: Plane, hole: Hole) -> float:
    """1 − STSIM-2 of what lies in the hole: the mean over neighbourhoods, subbands and pairs."""
    found: list[float] = []
    finer: tuple[list[Plane], list[Plane]] | None = None
    for one, other, inside in _octaves(ours, theirs, hole):
        near = _Near(inside)
        bands = _subbands(one), _subbands(other)
        found += [near.total(_alike(near, a, b)) for a, b in zip(*bands, strict=True)]
        strength = _strengths(bands[0]), _strengths(bands[1])
        pairs = list(zip(*(combinations(each, 2) for each in strength), strict=True))
        if finer is not None:
            below = (_with_finer(a, b) for a, b in zip(finer, strength, strict=True))
            pairs += zip(*below, strict=True)
        found += [near.total(_together(near, a, b)) for a, b in pairs]
        finer = strength
    return 1 - float(np.mean(found))


class _Near:
    """Weighted means over neighbourhoods that only see the hole, at every second pixel.

    inside: [h, w], the share of the hole in each pixel.
    """

    def __init__(self, inside: Plane) -> None:
        self._inside = inside
        self._weight = _halved(inside)
        self._norm = np.maximum(_blurred(self._weight), 1e-6)

    def mean(self, values: Plane) -> Plane:
        """[h / 2, w / 2], of the neighbourhoods of values [h, w]."""
        return np.asarray(_blurred(_halved(values * self._inside)) / self._norm, np.float32)

    def total(self, means: Plane) -> float:
        """Of the whole hole, from what ``mean`` gave."""
        return float(np.average(means, weights=self._weight))


def _blurred(values: Plane) -> Plane:
    spread = cv2.GaussianBlur(values, (0, 0), _NEAR / 2, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(spread, np.float32)


def _subbands(plane: Plane) -> list[Subband]:
    """One for each direction; real and imaginary part are in quadrature."""
    reach = np.arange(-4, 5) * 0.67  # the taps as published
    x, y = np.meshgrid(reach, reach)
    bell = np.exp(-(x * x + y * y))
    bands = []
    for turn in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
        u = x * np.cos(turn) + y * np.sin(turn)
        even = 0.9213 * (2 * u * u - 1) * bell
        odd = (-2.205 * u + 0.9780 * u**3) * bell
        # What the taps leave of the mean would drown the detail.
        parts = [cv2.filter2D(plane, cv2.CV_32F, k - k.mean()) for k in (even, odd)]
        bands.append(np.asarray(parts[0] + 1j * parts[1], np.complex64))
    return bands


def _strengths(bands: list[Subband]) -> list[Plane]:
    return [np.asarray(np.abs(band), np.float32) for band in bands]


def _with_finer(finer: list[Plane], these: list[Plane]) -> Iterator[tuple[Plane, Plane]]:
    """The same direction one octave apart."""
    return ((_halved(a), b) for a, b in zip(finer, these, strict=True))


def _alike(near: _Near, ours: Subband, theirs: Subband) -> Plane:
    """How alike a subband's strength, its variation and its periods down and across are."""
    a, b = _moments(near, ours), _moments(near, theirs)
    floor = _UNSEEN**2
    strength, spread = (
        (2 * x * y + floor) / (x * x + y * y + floor) for x, y in zip(a[:2], b[:2], strict=True)
    )
    down, across = (1 - abs(x - y) / 2 for x, y in zip(a[2:], b[2:], strict=True))
    product = np.clip(strength * spread * down * across, 0, 1)
    return np.asarray(product**0.25, np.float32)


def _moments(near: _Near, band: Subband) -> tuple[Plane, Plane, Plane, Plane]:
    """Mean and deviation of the strength, correlation with the neighbours below and beside."""
    strength = np.abs(band)
    mean = near.mean(strength)
    deviation = np.sqrt(np.maximum(near.mean(strength**2) - mean**2, 0))
    wave = band.real
    power = near.mean(wave**2) + _UNSEEN**2
    down, across = (
        (near.mean(wave * np.roll(wave, 1, axis)) + _UNSEEN**2) / power for axis in (0, 1)
    )
    return mean, deviation, down, across


def _together(near: _Near, ours: tuple[Plane, Plane], theirs: tuple[Plane, Plane]) -> Plane:
    """How alike two subbands' strengths are correlated."""
    apart = np.abs(_correlation(near, *ours) - _correlation(near, *theirs))
    return np.asarray(1 - apart / 2, np.float32)


def _correlation(near: _Near, one: Plane, other: Plane) -> Plane:
    means = near.mean(one), near.mean(other)
    variances = near.mean(one**2) - means[0] ** 2, near.mean(other**2) - means[1] ** 2
    both = near.mean(one * other) - means[0] * means[1]
    norm = np.sqrt(np.maximum(variances[0], 0) * np.maximum(variances[1], 0))
    return np.asarray((both + _UNSEEN**2) / (norm + _UNSEEN**2), np.float32)
