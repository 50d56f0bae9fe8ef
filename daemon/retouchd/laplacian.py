"""Pure: the matting Laplacian, restricted to the unknown pixels of a trimap.

Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting" (PAMI 2008): if in
every 3 × 3 window colours of subject and background each lie on a line, alpha there is linear in
colour, and the alpha that deviates least from that minimises αᵀLα. L couples pixels that share a
window, so a row has 25 entries at most. Only windows that hold an unknown pixel are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Colours = NDArray[np.float32]  # [H, W, 3] in [0, 1]
Index = NDArray[np.int64]
Reals = NDArray[np.float64]

_EPS = 3e-6  # variance of colour that counts as none; the paper's 1e-7 follows JPEG noise
_CHUNK = 1 << 14  # windows worked on at a time
_SIDE = 3
_REACH = 2  # how far apart pixels of one window can be


@dataclass(frozen=True, eq=False)
class System:
    """matrix · α = right, for the unknown pixels in raster order.

    matrix: [n, n], symmetric and positive semidefinite. right: [n], what the known pixels add.
    rows, columns: [n], where in the photo the pixels lie.
    """

    matrix: csr_array
    right: Reals
    rows: Index
    columns: Index


def matting_system(image: Colours, trimap: Alpha, *, eps: float = _EPS) -> System:
    """The equations for the unknown pixels, which are those of the trimap between 0 and 1.

    image: [H, W, 3] in [0, 1], at least 3 × 3. Memory: about 200 bytes per unknown pixel.
    """
    framed, known = _framed(image), _framed(trimap)
    unknown = (known > 0) & (known < 1)
    unknown[:_REACH], unknown[-_REACH:] = False, False
    unknown[:, :_REACH], unknown[:, -_REACH:] = False, False
    place = np.full(unknown.size, -1, np.int32)
    where = np.flatnonzero(unknown)
    place[where] = np.arange(len(where))
    shares = _shares(framed, unknown, place, len(where), eps)
    rows, columns = np.divmod(where, unknown.shape[1])
    matrix, right = _split(shares, where, place, known)
    return System(matrix, right, rows - _REACH, columns - _REACH)


def _framed(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """With a frame of repeated pixels, so that every neighbour has an index.

    No window lies on the frame, so what is there has no say.
    """
    sides = ((_REACH, _REACH), (_REACH, _REACH), (0, 0))[: array.ndim]
    return np.pad(array, sides, mode="edge")


def _shares(
    image: Colours, unknown: NDArray[np.bool_], place: NDArray[np.int32], count: int, eps: float
) -> Reals:
    """[25, n]: the entries of L in the row of each unknown pixel, by offset from −2, −2 to 2, 2."""
    width = unknown.shape[1]
    steps = np.array([y * width + x for y in (-1, 0, 1) for x in (-1, 0, 1)])
    slot = [_slot(i, j) for i in range(9) for j in range(9)]
    shares = np.zeros((25, count + 1))  # the last column takes what belongs to known pixels
    colours = image.reshape(-1, 3)
    centres = _centres(unknown)
    for start in range(0, len(centres), _CHUNK):
        pixels = centres[start : start + _CHUNK, None] + steps
        entries = _window_entries(colours[pixels].astype(np.float64), eps)
        owner = place[pixels]
        for n, offset in enumerate(slot):
            # A pixel is the i-th of one window only, so no index comes twice.
            shares[offset, owner[:, n // 9]] += entries[:, n // 9, n % 9]
    return shares[:, :count]


def _centres(unknown: NDArray[np.bool_]) -> Index:
    """Flat indices of the windows that lie in the photo and hold an unknown pixel."""
    held = cv2.dilate(unknown.astype(np.uint8), np.ones((_SIDE, _SIDE), np.uint8)) > 0
    inside = np.zeros_like(held)
    border = _REACH + 1
    inside[border:-border, border:-border] = held[border:-border, border:-border]
    return np.flatnonzero(inside)


def _window_entries(colours: Reals, eps: float) -> Reals:
    """[m, 9, 9]: what windows of colours [m, 9, 3] add to L, by their pixels in raster order."""
    apart = colours - colours.mean(axis=1, keepdims=True)
    turned = apart.transpose(0, 2, 1)
    spread = turned @ apart / 9 + eps / 9 * np.eye(3)
    alike = 1 + apart @ np.linalg.solve(spread, turned)
    entries: Reals = np.eye(9) - alike / 9
    return entries


def _slot(one: int, other: int) -> int:
    """Which of the 25 offsets leads from one pixel of a window to another."""
    down, across = other // 3 - one // 3, other % 3 - one % 3
    return (down + _REACH) * 5 + across + _REACH


def _split(
    shares: Reals, where: Index, place: NDArray[np.int32], known: Alpha
) -> tuple[csr_array, Reals]:
    """The entries between unknown pixels as a matrix; those towards known ones times alpha."""
    width = known.shape[1]
    offsets = np.array([y * width + x for y in range(-2, 3) for x in range(-2, 3)])
    neighbours = where + offsets[:, None]
    column = place[neighbours]
    free = column >= 0
    right = -np.where(free, 0, shares * known.ravel()[neighbours]).sum(axis=0)
    ends = np.concatenate([[0], np.cumsum(free.sum(axis=0))])
    # Transposed, rows of the matrix lie together, and their columns ascend.
    parts = (shares.T[free.T], column.T[free.T], ends)
    return csr_array(parts, shape=(len(where), len(where))), right
