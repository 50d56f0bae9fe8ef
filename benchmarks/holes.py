"""Pure: holes to be measured on: by kind and by how much they cover, or by their radius.

Holes are [S, S] uint8, 255 where the picture is to be made up, grown as a lane grows them. What is
drawn is what the training draws (``models.training.masks``), from another seed; so these holes are
new to a network, but not strange to it. The sample photos' own masks are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from models.training import masks
from numpy.random import Generator
from numpy.typing import NDArray

from retouchd.masks import grow

Hole = NDArray[np.uint8]
Draw = Callable[[Generator, int], Hole]

KINDS: Mapping[str, tuple[Draw, ...]] = {
    "thin": (masks.wires, masks.text),
    "medium": (masks.strokes,),
    "thick": (masks.box, masks.blob),
}
SHARES = (0.10, 0.25, 0.40)  # of the picture, after growing
RADII = (2, 4, 8, 12, 16, 24, 32, 48, 64)  # pixels
_OFF = 0.15  # of the share that is wanted
_TRIES = 400
_ENOUGH = 0.08  # of the picture, for holes of one radius
_APART = 24  # pixels between those


def hole_of(kind: str, share: float, side: int, rng: Generator, growth: int) -> Hole:
    """A hole that covers that share of the picture, ±15 %, drawn over and over in one way.

    Raises RuntimeError where that does not work out, as in a picture hardly larger than growth.
    """
    draw = KINDS[kind][int(rng.integers(len(KINDS[kind])))]
    marked = np.zeros((side, side), np.uint8)
    for _ in range(_TRIES):
        more = marked | draw(rng, side)
        hole = grow(more, growth)
        covered = np.count_nonzero(hole) / hole.size
        if covered <= share * (1 + _OFF):
            marked = more
            if covered >= share * (1 - _OFF):
                return hole
    raise RuntimeError(f"no {kind} hole covers {share:.0%} of {side}×{side} pixels")


def holes_of_radius(radius: int, long: bool, side: int, rng: Generator) -> Hole:
    """Separate holes of one inscribed radius, at least one: discs, or strokes if ``long``."""
    hole = np.zeros((side, side), np.uint8)
    for _ in range(_TRIES):
        more = _stroke(radius, side, rng) if long else _disc(radius, side, rng)
        if not hole.any() or not (grow(hole, _APART) & more).any():
            hole |= more
            if np.count_nonzero(hole) >= _ENOUGH * hole.size:
                break
    return hole


def inscribed_radius(hole: Hole) -> float:
    """Of the largest disc in the hole, in pixels; the picture's border is no edge."""
    if hole.all():
        return float("inf")
    return float(cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())


def _disc(radius: int, side: int, rng: Generator) -> Hole:
    hole = np.zeros((side, side), np.uint8)
    x, y = (int(v) for v in rng.integers(radius + 1, side - radius, 2))
    cv2.circle(hole, (x, y), radius, 255, -1)
    return hole


def _stroke(radius: int, side: int, rng: Generator) -> Hole:
    """An arc many times as long as it is wide, as far as there is room for that."""
    hole = np.zeros((side, side), np.uint8)
    length = min(max(12 * radius, side / 4), 0.8 * side)
    along, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1) / length
    turns = along + bend * np.linspace(-length / 2, length / 2, 24)
    steps = np.stack([np.cos(turns), np.sin(turns)], 1) * (length / 24)
    points = np.cumsum(steps, axis=0)
    points += rng.uniform(radius, side - radius, 2) - points.mean(axis=0)
    cv2.polylines(hole, [np.round(points).astype(np.int32)], False, 255, 2 * radius)
    return hole
