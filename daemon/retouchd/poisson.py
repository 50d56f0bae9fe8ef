"""Pure: the picture whose differences are as wished, from one whose values are about right.

Pérez, Gangnet, Blake, "Poisson Image Editing" (SIGGRAPH 2003): of all pictures that keep what is
known, the one whose differences between neighbours are closest to those wanted. What it is off by
solves Poisson's equation in the hole; a few V cycles of a multigrid do that to a fraction of a
level of 8 bits. A cycle alone falls short, and along the picture's border overshoots; so each one
is only a direction, of conjugate gradients (Tatebe, "The multigrid preconditioned conjugate
gradient method", 1993).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.pyramid import halved
from retouchd.samples import Unit

Flags = NDArray[np.bool_]

_CYCLES = 5
_SWEEPS, _LAST = 2, 24  # before and after each coarser level; on the coarsest
_DAMPING = np.float32(0.8 / 4)
_CROSS = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


def correction(excess_right: Unit, excess_down: Unit, hole: Flags) -> Unit:
    """What to add in a hole [H, W] so that its differences grow by these, as nearly as possible.

    excess_right, excess_down: [H, W, 3], how much more each pixel's right, or lower, neighbour
    should differ from it than it does; 0 in the last column, or row. Returns [H, W, 3] float32, 0
    outside the hole. The picture's border pulls no way.
    """
    inside = np.repeat(hole[..., None], 3, axis=2).astype(np.float32)
    rest = excess_right + excess_down
    rest[:, 1:] -= excess_right[:, :-1]
    rest[1:] -= excess_down[:-1]
    rest *= inside
    found, way, bend = (np.zeros_like(rest) for _ in range(3))
    for _ in range(_CYCLES):
        guess = _cycle(rest, inside)
        way = guess - _ratio(bend, guess, way) * way
        bend = _laplacian(way) * inside
        length = _ratio(way, rest, bend)
        found += length * way
        rest -= length * bend
    return found


def _ratio(way: Unit, one: Unit, other: Unit) -> NDArray[np.float32]:
    """[3], how much longer one picture is than another along a way; 0 where none is."""
    above, below = (np.array(cv2.sumElems(way * each)[:3]) for each in (one, other))
    ratio = np.divide(above, below, out=np.zeros(3), where=below != 0)
    return np.asarray(ratio, np.float32)


def _cycle(wanted: Unit, inside: Unit) -> Unit:
    """One V cycle: [H, W, 3], whose Laplacian is near to what is wanted."""
    share = (halved(inside) > 0.99).astype(np.float32)
    guess = wanted * -_DAMPING  # a first sweep, of nothing
    if min(share.shape[:2]) < 4 or not share.any():
        return _swept(guess, wanted, inside, _LAST - 1)
    guess = _swept(guess, wanted, inside, _SWEEPS - 1)
    # Pixels of twice the side: the same curvature is four times the difference.
    rest = 4 * halved(_even((wanted - _laplacian(guess)) * inside)) * share
    more = _cycle(rest, share)
    height, width = inside.shape[:2]
    twice = (2 * more.shape[1], 2 * more.shape[0])
    large = cv2.resize(more, twice, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return _swept(guess + large * inside, wanted, inside, _SWEEPS)


def _swept(guess: Unit, wanted: Unit, inside: Unit, sweeps: int) -> Unit:
    """Damped Jacobi, in place."""
    damped = inside * _DAMPING
    for _ in range(sweeps):
        change = _laplacian(guess)
        change -= wanted
        change *= damped
        guess += change
    return guess


def _even(picture: Unit) -> Unit:
    """With zeros beyond an odd side: half a pixel there must not count as a whole one."""
    height, width = picture.shape[:2]
    if height % 2 == width % 2 == 0:
        return picture
    return np.asarray(np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0))), np.float32)


def _laplacian(picture: Unit) -> Unit:
    filtered = cv2.filter2D(picture, cv2.CV_32F, _CROSS, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(filtered, np.float32)
