"""Pure: one multigrid cycle, as the preconditioner of a conjugate gradient.

Unknowns are pixels. On the next coarser level, those of each 2 × 2 square are one, and its matrix
is what remains of the finer one (Galerkin): aggregation multigrid, as in Notay, "An
aggregation-based algebraic multigrid method" (2010), with squares for aggregates, smoothed by
damped Jacobi. So a correction crosses a wide band in one cycle, which single relaxations need as
many steps for as the band has pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

Reals = NDArray[np.float64]
Index = NDArray[np.int64]

_DAMPING = 0.6
_DIRECT = 256  # unknowns that are solved for directly
_LEVELS = 12


@dataclass(frozen=True, eq=False)
class _Level:
    matrix: csr_array
    relax: NDArray[np.float32]  # damping over the diagonal
    spread: csr_array  # from the next coarser level
    gather: csr_array  # to it


class Multigrid:
    """An approximate inverse of a symmetric positive definite matrix; itself one, too.

    matrix: [n, n]. rows, columns: [n] of the pixels that the unknowns are. Works in float32.
    """

    def __init__(self, matrix: csr_array, rows: Index, columns: Index) -> None:
        self._levels: list[_Level] = []
        current = matrix.astype(np.float32)
        while current.shape[0] > _DIRECT and len(self._levels) < _LEVELS:
            rows, columns, member = _squares(rows, columns)
            level = _level(current, member, len(rows))
            self._levels.append(level)
            current = (level.gather @ current @ level.spread).tocsr()
        dense = current.toarray().astype(np.float64)
        self._coarsest = np.linalg.pinv(dense, hermitian=True).astype(np.float32)

    def __call__(self, right: Reals) -> Reals:
        """About what the matrix makes ``right`` of; one V cycle, [n] → [n]."""
        return self._cycle(0, right.astype(np.float32).ravel()).astype(np.float64)

    def _cycle(self, depth: int, right: NDArray[np.float32]) -> NDArray[np.float32]:
        if depth == len(self._levels):
            return np.asarray(self._coarsest @ right, np.float32)
        level = self._levels[depth]
        guess = level.relax * right
        rest = level.gather @ (right - level.matrix @ guess)
        guess = guess + level.spread @ self._cycle(depth + 1, rest)
        smoothed: NDArray[np.float32] = guess + level.relax * (right - level.matrix @ guess)
        return smoothed


def _squares(rows: Index, columns: Index) -> tuple[Index, Index, Index]:
    """The 2 × 2 squares that hold pixels: their rows and columns, and each pixel's square."""
    down, across = rows // 2, columns // 2
    width = int(across.max()) + 1
    keys, member = np.unique(down * width + across, return_inverse=True)
    return keys // width, keys % width, member.astype(np.int64)


def _level(matrix: csr_array, member: Index, count: int) -> _Level:
    ones = np.ones(len(member), np.float32)
    place = np.arange(len(member) + 1)
    spread = csr_array((ones, member, place), shape=(len(member), count))
    relax = (_DAMPING / matrix.diagonal()).astype(np.float32)
    return _Level(matrix, relax, spread, spread.T.tocsr())
