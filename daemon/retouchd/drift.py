"""Pure: how far a model's colours drift from the photo's, and the fill put right by that much.

A network repaints known pixels as well, and what it paints is often a shade lighter, darker or
redder than the photo. On a ring of known pixels around the hole that is seen as photo − result.
What matters of it is only its low-frequency part: texture and edges that come out differently
there are no drift. So the ring is looked at in cells, each cell says its median and how sure it
is of it, cells that disagree with all others are not believed (Tukey's biweight), and a membrane
carries the rest smoothly over the hole (the screened Laplace equation on the cells, from coarse
to fine, as in Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", 1996; pull-push).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.samples import to_unit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Grey = NDArray[np.uint8]

_LEVEL = 1 / 255
_LIMIT = 32 * _LEVEL  # what is further off is another picture, not the same one in other light
_SMALL = 384  # px; crops up to this size have cells of 4 px, others of 8
_RING = 4  # cells around the hole
_LEAST_KNOWN = 64  # of 255: the part of a cell that must be known for its median to count
_FITS = 6  # rounds of Tukey's biweight
_SWEEPS = 16  # relaxations on each level of the membrane
_CHUNK = 4096  # cells looked at at once, so that memory does not grow with the photo


@dataclass(frozen=True, eq=False)
class Drift:
    """What has to be added to a result: grid [H', W', 3] in units of [0, 1], one per cell."""

    grid: Floats
    cell: int

    def at(self, rows: Doubles, columns: Doubles) -> Floats:
        """The correction [h, w, 3] at pixel centres, counted in the result's pixels from 0."""
        tall = _between(self.grid, (rows + 0.5) / self.cell - 0.5, 0)
        return _between(tall, (columns + 0.5) / self.cell - 0.5, 1)


@dataclass(frozen=True, eq=False)
class _Ring:
    """The cells around the hole: row and column [N, 2], median drift [N, 3], weight [N]."""

    places: NDArray[np.int64]
    drift: Floats
    weight: Floats


def match_colour(image: Pixels, mask: Grey, result: Floats) -> Floats:
    """A model's result with its colours shifted to those of the photo around the hole.

    image: [h, w, 3] RGB uint8 or uint16, what the model was given. mask: [h, w] uint8, 255
    wherever the crop was masked, other holes as well. result: [h, w, 3] float32 in [0, 1].
    Returns the same in [0, 1]; ``result`` itself if it keeps known pixels as they are, or if there
    are none around a hole.
    """
    drift = measured(image, mask, result)
    if drift is None:
        return result
    height, width = mask.shape
    shift = drift.at(np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64))
    shift += result
    return np.clip(shift, 0, 1, out=shift)


def measured(image: Pixels, mask: Grey, result: Floats) -> Drift | None:
    """The drift of a result; None if there is none, or nothing to see it by. See match_colour."""
    cell = 4 if max(mask.shape) <= _SMALL else 8
    known = _known(mask, cell)
    ring = _looked_at(image, mask, result, _places(known), cell)
    if not len(ring.weight) or not ring.drift.any():
        return None
    return Drift(_spread(_trusted(ring), known.shape), cell)


def _known(mask: Grey, cell: int) -> Grey:
    """The known part of each cell, 0 to 255; a cell that juts out repeats the crop's border."""
    height, width = mask.shape
    below, right = -height % cell, -width % cell
    padded = cv2.copyMakeBorder(mask, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // cell, padded.shape[0] // cell)
    return np.asarray(255 - cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.uint8)


def _places(known: Grey) -> NDArray[np.int64]:
    """Row and column [N, 2] of the cells near a hole that are known well enough."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RING + 1, 2 * _RING + 1))
    near = cv2.dilate((known < 255).astype(np.uint8), disc) > 0
    return np.argwhere(near & (known >= _LEAST_KNOWN))


def _looked_at(
    image: Pixels, mask: Grey, result: Floats, places: NDArray[np.int64], cell: int
) -> _Ring:
    chunks = [places[i : i + _CHUNK] for i in range(0, len(places), _CHUNK)]
    seen = [_medians(image, mask, result, chunk, cell) for chunk in chunks]
    drift = np.concatenate([np.empty((0, 3), np.float32), *(one for one, _ in seen)])
    weight = np.concatenate([np.empty(0, np.float32), *(other for _, other in seen)])
    return _Ring(places, drift, weight)


def _medians(
    image: Pixels, mask: Grey, result: Floats, places: NDArray[np.int64], cell: int
) -> tuple[Floats, Floats]:
    """The median of photo − result in cells [N, 2]: [N, 3], and how sure it is, 0 to 1: [N]."""
    inner = np.arange(cell)
    rows = np.minimum(places[:, :1] * cell + inner, mask.shape[0] - 1)[:, :, None]
    columns = np.minimum(places[:, 1:] * cell + inner, mask.shape[1] - 1)[:, None, :]
    apart = to_unit(image[rows, columns]) - result[rows, columns]
    known = mask[rows, columns] == 0
    apart[~known] = np.inf
    values = np.sort(apart.reshape(len(places), cell * cell, 3), axis=1)
    count = np.count_nonzero(known, axis=(1, 2))
    low, high = _ranked(values, count // 4), _ranked(values, count - 1 - count // 4)
    middle = (_ranked(values, (count - 1) // 2) + _ranked(values, count // 2)) / 2
    # neighbours in a photo are alike: four of them tell about as much as one alone would
    error = 1.25 * (high - low).max(axis=1) / 1.35 / np.sqrt(count / 4)
    sure = count / cell**2 / (1 + (error / _LEVEL) ** 2)
    return middle.astype(np.float32), sure.astype(np.float32)


def _ranked(values: Floats, rank: NDArray[np.int64]) -> Floats:
    return np.take_along_axis(values, rank[:, None, None], axis=1)[:, 0]


def _trusted(ring: _Ring) -> tuple[_Ring, Doubles]:
    """The ring with weights only where it agrees with itself, and the plane [3, 3] through it."""
    ground = _ground(ring.places, ring.places)
    plane = np.zeros((3, 3))
    plane[0] = [_weighted_median(channel, ring.weight) for channel in ring.drift.T]
    weight = ring.weight
    for _ in range(_FITS):
        off = np.abs(ring.drift - ground @ plane).max(axis=1)
        scale = 1.4826 * _weighted_median(off, ring.weight) + _LEVEL
        weight = ring.weight * np.square(np.clip(1 - (off / (4.685 * scale)) ** 2, 0, None))
        plane = _plane(ground, ring.drift, weight)
    return _Ring(ring.places, ring.drift, weight.astype(np.float32)), plane


def _ground(places: NDArray[Any], ring: NDArray[np.int64]) -> Doubles:
    """1, y, x [N, 3] of cells; y and x run from −1 to 1 over the ring."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    centred = (2.0 * places - low - high) / max(1, (high - low).max())
    return np.concatenate([np.ones((len(places), 1)), centred], axis=1)


def _plane(ground: Doubles, drift: Floats, weight: Floats) -> Doubles:
    """The weighted least-squares plane; a slope that the ring hardly shows is held near 0."""
    weighed = ground * weight[:, None]
    ridge = np.diag([1e-9, 0.02, 0.02]) * weight.sum() + 1e-12 * np.eye(3)
    plane: Doubles = np.linalg.solve(weighed.T @ ground + ridge, weighed.T @ drift)
    return plane


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order[np.searchsorted(total, total[-1] / 2)]])


def _spread(trusted: tuple[_Ring, Doubles], shape: tuple[int, ...]) -> Floats:
    """The ring's drift carried over all cells: the plane, and a membrane through what is left."""
    ring, plane = trusted
    cells = np.argwhere(np.ones(shape, np.bool_))
    even = (_ground(cells, ring.places) @ plane).reshape(*shape, 3).astype(np.float32)
    here = tuple(ring.places.T)
    left, weight = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    left[here], weight[here] = ring.drift - even[here], ring.weight
    grid = even + _membrane(left, weight)
    # no further than the ring goes: a slope must not run away over a hole at the photo's border
    low, high = grid[here].min(axis=0), grid[here].max(axis=0)
    bounded: Floats = np.clip(grid, np.maximum(low, -_LIMIT), np.minimum(high, _LIMIT))
    return bounded


def _membrane(values: Floats, weights: Floats) -> Floats:
    """Through values [h, w, 3] as their weights [h, w] demand, and as flat as possible elsewhere.

    Minimises Σ weight·(f − value)² + Σ (f − f of a neighbour)², roughly: O(n).
    """
    height, width = weights.shape
    if height * width <= 4:
        mean = (values * weights[..., None]).sum((0, 1)) / max(weights.sum(), 1e-9)
        return np.broadcast_to(mean, values.shape).astype(np.float32)
    coarse = _membrane(*_halved(values, weights))
    twice = (2 * coarse.shape[1], 2 * coarse.shape[0])
    guess = cv2.resize(coarse, twice, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return _relaxed(np.asarray(guess, np.float32), values, weights)


def _halved(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    even = [(0, side % 2) for side in weights.shape]
    heavy = np.pad(np.dstack([values * weights[..., None], weights]), [*even, (0, 0)])
    four = heavy[::2, ::2] + heavy[1::2, ::2] + heavy[::2, 1::2] + heavy[1::2, 1::2]
    mean: Floats = four[..., :3] / np.maximum(four[..., 3:], np.float32(1e-9))
    return mean, four[..., 3]


def _relaxed(guess: Floats, values: Floats, weights: Floats) -> Floats:
    """Damped Jacobi sweeps; beyond the border everything goes on as it is at the border."""
    pull, whole = values * weights[..., None], weights[..., None] + 4
    for _ in range(_SWEEPS):
        wide = cv2.copyMakeBorder(guess, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        guess = np.float32(0.2) * guess + np.float32(0.8) * (pull + around) / whole
    return guess


def _between(grid: Floats, positions: Doubles, axis: int) -> Floats:
    """The grid at positions along an axis, linearly between its values."""
    base = np.floor(positions).astype(np.int64)
    shape = [1, 1, 1]
    shape[axis] = -1
    part = (positions - base).astype(np.float32).reshape(shape)
    last = grid.shape[axis] - 1
    first = np.take(grid, np.clip(base, 0, last), axis)
    second = np.take(grid, np.clip(base + 1, 0, last), axis)
    second -= first
    second *= part
    second += first
    return second
