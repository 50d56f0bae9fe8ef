"""Pure: holes to be measured on: by kind and by how much they cover, or by their radius.

Holes are [S, S] uint8, 255 where the picture is to be made up, after growing. What is drawn is
what the training draws (``models.training.masks``), from another seed; so these holes are
new to a network, but not strange to it. The sample photos' own masks are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from models.training import masks
from numpy.random import Generator
from numpy.typing import NDArray

from retouchd.growing import grow

Hole = NDArray[np.uint8]
Draw = Callable[[Generator, int], Hole]

GROWTH = 4  # pixels: a lane's feather is as wide, and what was marked must not shine through
RADII = (2, 4, 8, 12, 16, 24, 32, 48, 64)  # pixels
SHARES = (0.10, 0.25, 0.40)  # of the picture, after growing
_OFF = 0.15  # of the share that is wanted
_TRIES = 60  # drawings in a row
_STARTS = 8
_PLACES = 200  # to be tried
_ENOUGH = 0.08  # of the picture, for holes of one radius
_APART = 24  # pixels between those


@dataclass(frozen=True)
class Kind:
    """How holes are drawn, one way for each hole. most: their inscribed radius, in pixels."""

    draws: tuple[Draw, ...]
    most: float


KINDS: Mapping[str, Kind] = {
    "thin": Kind((masks.wires, masks.text, masks.grid), 14),
    "medium": Kind((masks.strokes,), 40),
    "thick": Kind((masks.box, masks.blob), float("inf")),
}


def hole_of(kind: Kind, share: float, side: int, rng: Generator) -> Hole:
    """A hole that covers that share of the picture, ±15 %, drawn over and over in one way.

    Raises RuntimeError where that does not work out, as in a picture of a few dozen pixels.
    """
    for _ in range(_STARTS):
        for number in rng.permutation(len(kind.draws)).tolist():
            hole = _covering(kind.draws[number], share, side, rng, kind.most)
            if hole is not None:
                return hole
    raise RuntimeError(f"no such hole covers {share:.0%} of {side}×{side} pixels")


def _covering(draw: Draw, share: float, side: int, rng: Generator, most: float) -> Hole | None:
    """None if too many drawings in a row would have covered too much or been too thick."""
    hole, refused = np.zeros((side, side), np.uint8), 0
    while refused < _TRIES:
        more = hole | grow(draw(rng, side), GROWTH)
        covered = np.count_nonzero(more) / more.size
        if covered > share * (1 + _OFF) or inscribed_radius(more) > most:
            refused += 1
        elif covered >= share * (1 - _OFF):
            return more
        else:
            hole, refused = more, 0
    return None


def holes_of_radius(radius: int, long: bool, side: int, rng: Generator) -> Hole:
    """Separate holes of one inscribed radius, at least one: discs, or strokes if ``long``."""
    hole, taken = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    for _ in range(_PLACES):
        more = _stroke(radius, side, rng) if long else _disc(radius, side, rng)
        if not (taken & more).any():
            hole |= more
            taken |= grow(more, _APART)
            if np.count_nonzero(hole) >= _ENOUGH * hole.size:
                break
    return hole


def inscribed_radius(hole: Hole) -> float:
    """Of the largest disc in the hole, in pixels, ±2 %; the picture's border is no edge."""
    if hole.all():
        return float("inf")
    return float(cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_5).max())


def _disc(radius: int, side: int, rng: Generator) -> Hole:
    hole = np.zeros((side, side), np.uint8)
    x, y = (int(v) for v in rng.integers(radius + 1, side - radius, 2))
    cv2.circle(hole, (x, y), radius, 255, -1)
    return hole


def _stroke(radius: int, side: int, rng: Generator) -> Hole:
    """An arc many times as long as it is wide, as far as there is room for that."""
    hole = np.zeros((side, side), np.uint8)
    room = side - 2 * radius - 2
    length = min(max(12 * radius, side / 4), 0.8 * room)
    along, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1) / length
    turns = along + bend * np.arange(-length / 2, length / 2)
    points = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1), axis=0)
    points -= points.min(axis=0)
    # Inside the picture: where its border cuts a stroke off, it is deeper than its radius.
    points += radius + 1 + rng.uniform(0, room - points.max(axis=0))
    # Thick polylines of OpenCV bulge at their joints, so every point is a disc.
    for x, y in np.round(points).astype(int).tolist():
        cv2.circle(hole, (x, y), radius, 255, -1)
    return hole
