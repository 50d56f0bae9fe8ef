"""Pure: the picture whose differences are as wished, from one whose values are about right.

Pérez, Gangnet, Blake, "Poisson Image Editing" (SIGGRAPH 2003): of all pictures that keep what is
known, the one whose differences between neighbours are closest to those wanted. What it is off by
solves Poisson's equation in the hole; a few V cycles of a multigrid do that to a fraction of a
level of 8 bits.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.pyramid import halved
from retouchd.samples import Unit

Flags = NDArray[np.bool_]

_CYCLES = 6
_BEFORE, _AFTER, _LAST = 2, 3, 24  # sweeps
_DAMPING = 0.8
_CROSS = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


def correction(excess_right: Unit, excess_down: Unit, hole: Flags) -> Unit:
    """What to add in a hole [H, W] so that its differences grow by these, as nearly as possible.

    excess_right, excess_down: [H, W, 3], how much more each pixel's right, or lower, neighbour
    should differ from it than it does; 0 in the last column, or row. Returns [H, W, 3] float32, 0
    outside the hole. The picture's border pulls no way.
    """
    wanted = excess_right + excess_down
    wanted[:, 1:] -= excess_right[:, :-1]
    wanted[1:] -= excess_down[:-1]
    inside = hole.astype(np.float32)[..., None]
    found = np.zeros_like(wanted)
    for _ in range(_CYCLES):
        found = _cycle(found, wanted * inside, inside)
    return found


def _cycle(guess: Unit, wanted: Unit, inside: Unit) -> Unit:
    """One V cycle: [H, W, 3], with a Laplacian nearer to what is wanted."""
    share = (halved(inside) > 0.99).astype(np.float32)
    if min(share.shape[:2]) < 4 or not share.any():
        return _swept(guess, wanted, inside, _LAST)
    guess = _swept(guess, wanted, inside, _BEFORE)
    # Pixels of twice the side: the same curvature is four times the difference.
    rest = 4 * halved((wanted - _laplacian(guess)) * inside) * share
    more = _cycle(np.zeros_like(rest), rest, share)
    height, width = inside.shape[:2]
    twice = (2 * more.shape[1], 2 * more.shape[0])
    large = cv2.resize(more, twice, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return _swept(guess + large * inside, wanted, inside, _AFTER)


def _swept(guess: Unit, wanted: Unit, inside: Unit, sweeps: int) -> Unit:
    """Damped Jacobi."""
    for _ in range(sweeps):
        guess = guess + (_laplacian(guess) - wanted) * (inside * np.float32(_DAMPING / 4))
    return guess


def _laplacian(picture: Unit) -> Unit:
    filtered = cv2.filter2D(picture, cv2.CV_32F, _CROSS, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(filtered, np.float32)
