"""Pure: matting without a network: a photo and a trimap become an alpha.

Closed-form matting (Levin et al. 2008, see ``laplacian``) solved by conjugate gradients with
multigrid (see ``multigrid``), for the region around the unknown pixels, on at most about a
megapixel; from there the alpha is enlarged with the photo's edges (see ``enlarging``). Where that
does not work out, a guided filter fills the unknown pixels, and the result says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import eye_array  # type: ignore[import-untyped]
from scipy.sparse.linalg import LinearOperator, cg  # type: ignore[import-untyped]

from retouchd.engine import Pixels
from retouchd.enlarging import enlarge
from retouchd.guided import fill
from retouchd.laplacian import System, matting_system
from retouchd.multigrid import Multigrid
from retouchd.scaling import Size, resized, unit_colours
from retouchd.trimap import Alpha, reduced

_PULL = 0.003  # of the prior, in a band of about a pixel
_FORGIVEN = 10  # times the tolerance: worse than that is no solution
_MARGIN = 4  # px of known pixels around the unknown ones


@dataclass(frozen=True)
class Effort:
    """What a solution may cost.

    pixels: of the region that is worked on. unknowns: among them. steps: of conjugate gradients.
    tolerance: of the residual, against the right side's norm.
    """

    pixels: int = 1 << 20
    unknowns: int = 250_000
    steps: int = 120
    tolerance: float = 1e-3


@dataclass(frozen=True, eq=False)
class Matting:
    """An alpha and how it came about.

    alpha: [H, W] float32 in [0, 1]; the trimap's where that is 0 or 1.
    method: "closed-form", "guided" where that did not work out, "known" if nothing was unknown.
    scale: of the region that was solved, against the photo; 1 is full size.
    steps, residual: what the conjugate gradients took and left.
    notes: what is out of the ordinary, in words for a person.
    """

    alpha: Alpha
    method: str
    scale: float = 1.0
    steps: int = 0
    residual: float = 0.0
    notes: tuple[str, ...] = ()


def solve(
    pixels: Pixels, trimap: Alpha, prior: Alpha | None = None, effort: Effort = Effort()
) -> Matting:
    """The alpha of a photo [H, W, C] uint8 or uint16 with a trimap [H, W] (1, 0, else unknown).

    prior: [H, W] in [0, 1], a first guess for the unknown pixels, such as a blurred rough mask; it
    decides where colours don't. None: a slope from the sure subject to the sure background.
    """
    unknown = (trimap > 0) & (trimap < 1)
    if not unknown.any():
        return Matting(trimap.copy(), "known")
    box = _around(unknown)
    part, guess = trimap[box], slope(trimap[box]) if prior is None else prior[box]
    size = _working_size(unknown[box], effort)
    found = _solve_small(
        unit_colours(pixels[box], size),
        part if size == part.shape else reduced(part, size),
        resized(guess, size).clip(0, 1),
        effort,
    )
    alpha = trimap.copy()
    alpha[box] = np.where(unknown[box], enlarge(pixels[box], found.alpha), part)
    return replace(found, alpha=alpha, scale=size[0] / part.shape[0])


def slope(trimap: Alpha) -> Alpha:
    """A first guess [H, W]: from 1 at the nearest sure subject to 0 at the nearest background."""
    if not (trimap == 1).any() or not (trimap == 0).any():
        return np.where((trimap > 0) & (trimap < 1), np.float32(0.5), trimap)
    to_subject, to_background = (
        cv2.distanceTransform((trimap != side).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        for side in (1, 0)
    )
    return np.asarray(to_background / (to_subject + to_background), np.float32)


def _around(unknown: NDArray[np.bool_]) -> tuple[slice, slice]:
    left, top, width, height = cv2.boundingRect(unknown.astype(np.uint8))
    rows = slice(max(0, top - _MARGIN), top + height + _MARGIN)
    return rows, slice(max(0, left - _MARGIN), left + width + _MARGIN)


def _working_size(unknown: NDArray[np.bool_], effort: Effort) -> Size:
    """The size of a region that is within the effort, and large enough for a window."""
    worst = max(unknown.size / effort.pixels, np.count_nonzero(unknown) / effort.unknowns, 1.0)
    height, width = (min(side, max(_MARGIN, round(side / sqrt(worst)))) for side in unknown.shape)
    return height, width


def _solve_small(
    image: NDArray[np.float32], trimap: Alpha, prior: Alpha, effort: Effort
) -> Matting:
    """As ``solve``, for a region of its working size."""
    if min(trimap.shape) < 3 or not ((trimap == 0) | (trimap == 1)).any():
        why = "nothing in the trimap is certain: the rough mask decided alone"
        return _guided(image, trimap, prior, why)
    unknown = (trimap > 0) & (trimap < 1)
    system = _pulled(matting_system(image, trimap), prior[unknown], _pull(unknown))
    levels, steps = Multigrid(system.matrix, system.rows, system.columns), _Counter()
    found, _ = cg(
        system.matrix,
        system.right,
        x0=prior[unknown].astype(np.float64),
        rtol=effort.tolerance,
        maxiter=effort.steps,
        M=LinearOperator(system.matrix.shape, levels, dtype=np.float64),
        callback=steps,
    )
    residual = _residual(system, found)
    if not residual <= _FORGIVEN * effort.tolerance:
        why = f"closed-form matting did not converge in {steps.count} steps: a guided filter did"
        return _guided(image, trimap, prior, why)
    alpha = trimap.copy()
    alpha[unknown] = np.clip(found, 0, 1)
    return Matting(alpha, "closed-form", steps=steps.count, residual=residual)


def _guided(image: NDArray[np.float32], trimap: Alpha, prior: Alpha, why: str) -> Matting:
    unknown = ((trimap > 0) & (trimap < 1)).astype(np.uint8)
    radius = max(2, round(2 * _mean_depth(unknown)))
    return Matting(fill(image, trimap, prior, radius), "guided", notes=(why,))


def _pulled(system: System, prior: Alpha, pull: float) -> System:
    """The system with a weak wish for the prior, which also makes it definite."""
    matrix = (system.matrix + pull * eye_array(len(prior))).tocsr()
    return replace(system, matrix=matrix, right=system.right + pull * prior.astype(np.float64))


def _pull(unknown: NDArray[np.bool_]) -> float:
    # What diffuses across a band weakens with the square of its width.
    return float(_PULL / max(1.0, _mean_depth(unknown.astype(np.uint8))) ** 2)


def _mean_depth(unknown: NDArray[np.uint8]) -> float:
    """How far from known pixels the unknown ones lie on average: half of the half width."""
    if unknown.all():
        height, width = unknown.shape
        return float(min(height, width)) / 4
    depth = cv2.distanceTransform(unknown, cv2.DIST_L2, cv2.DIST_MASK_5)
    return float(depth[unknown > 0].mean())


def _residual(system: System, found: NDArray[np.float64]) -> float:
    rest = system.right - system.matrix @ found
    return float(np.linalg.norm(rest)) / max(float(np.linalg.norm(system.right)), 1e-12)


class _Counter:
    """Counts the steps of a solver that reports each of them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _: object) -> None:
        self.count += 1
