"""Holes as people draw them: what they remove from photos, and how their brushes cover it.

Every function draws into a [side, side] uint8 array, 0 known and 255 hole, from one numpy
generator; the same generator state gives the same hole. Strokes and boxes follow LaMa's training
masks (Suvorov et al., WACV 2022); text, wires, marks and grids are what retouchd's users drop.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Hole = NDArray[np.uint8]
Draw = Callable[[Generator, int], Hole]

LEAST, MOST = 0.01, 0.5  # share of the picture that a hole may take
_GROWTH = 10  # pixels; the product grows what was marked by so many
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)
_LETTERS = np.array(list("ABCDEFGHIKLMNOPRSTUVWXYZabcdefghiklmnoprstuvwxyz0123456789©.:-/ "))


def random_hole(rng: Generator, side: int) -> Hole:
    """One hole of a random kind, grown as the product does, covering LEAST to MOST of the area."""
    for _ in range(20):
        draw = KINDS[rng.choice(len(KINDS), p=_SHARES)]
        hole = grown(draw(rng, side), int(rng.integers(0, _GROWTH + 1)))
        if LEAST <= np.count_nonzero(hole) / hole.size <= MOST:
            return hole
    return box(rng, side)


def grown(hole: Hole, pixels: int) -> Hole:
    """The hole dilated by a disc of that radius."""
    if pixels == 0:
        return hole
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1,) * 2)
    return np.asarray(cv2.dilate(hole, disc), np.uint8)


def strokes(rng: Generator, side: int) -> Hole:
    """Brush strokes: random walks of thick lines."""
    hole = _empty(side)
    for _ in range(rng.integers(1, 5)):
        width = int(rng.integers(side // 24, side // 5))
        angle = rng.uniform(0, 2 * np.pi)
        here = rng.uniform(0, side, 2)
        for _ in range(rng.integers(1, 7)):
            angle += rng.normal(0, 0.9)
            there = here + rng.uniform(side / 16, side / 2.5) * _direction(angle)
            cv2.line(hole, _pixel(here), _pixel(there), 255, width)
            cv2.circle(hole, _pixel(there), width // 2, 255, -1)
            here = there
    return hole


def box(rng: Generator, side: int) -> Hole:
    """Up to three rectangles."""
    hole = _empty(side)
    for _ in range(rng.integers(1, 4)):
        height, width = rng.integers(side // 10, side // 2, 2)
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        hole[top : top + height, left : left + width] = 255
    return hole


def blob(rng: Generator, side: int) -> Hole:
    """The outline of a thing: a closed smooth curve around a centre, perhaps two."""
    hole = _empty(side)
    for _ in range(rng.integers(1, 3)):
        turns = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        radius = np.ones_like(turns)
        for wave in range(1, 6):
            radius += rng.normal(0, 0.3 / wave) * np.sin(wave * turns + rng.uniform(0, 2 * np.pi))
        stretch = rng.uniform(side / 14, side / 4, 2)
        outline = np.stack([np.cos(turns), np.sin(turns)], 1) * np.abs(radius)[:, None] * stretch
        outline += rng.uniform(0.15 * side, 0.85 * side, 2)
        cv2.fillPoly(hole, [np.round(outline).astype(np.int32)], 255)
    return hole


def text(rng: Generator, side: int) -> Hole:
    """Lines of lettering: a date stamp, a caption, a watermark all over the picture."""
    hole = _empty(side)
    font = int(rng.choice(_FONTS))
    scale = rng.uniform(0.3, 1.6) * side / 128
    pen = max(1, round(scale * rng.uniform(1, 3)))
    line = round(36 * scale)
    first = rng.integers(line, side + 1) if line < side else side
    for row in range(int(first), side + line, int(rng.integers(line, 3 * line))):
        words = "".join(rng.choice(_LETTERS, rng.integers(3, 24)))
        start = (int(rng.integers(-side // 4, side // 2)), row)
        cv2.putText(hole, words, start, font, scale, 255, pen)
    return _turned(rng, hole, 30)


def wires(rng: Generator, side: int) -> Hole:
    """Sagging cables, masts, scratches: thin lines across the picture."""
    hole = _empty(side)
    angle = rng.uniform(0, np.pi)
    for _ in range(rng.integers(1, 6)):
        along = _direction(angle + rng.normal(0, 0.12))
        across = np.array([-along[1], along[0]])
        middle = rng.uniform(0, side, 2)
        reach = np.linspace(-side, side, 24)
        sag = rng.normal(0, 0.1) * (reach**2 / side)
        points = middle + reach[:, None] * along + sag[:, None] * across
        pen = int(rng.integers(1, max(3, side // 28)))
        cv2.polylines(hole, [np.round(points).astype(np.int32)], False, 255, pen)
    return hole


def mark(rng: Generator, side: int) -> Hole:
    """A logo: a ring or a frame with something in it."""
    hole = _empty(side)
    size = int(rng.integers(side // 8, side // 4))
    x, y = (int(v) for v in rng.integers(size, side - size, 2))
    pen = int(rng.integers(2, max(3, size // 3)))
    if rng.random() < 0.5:
        cv2.circle(hole, (x, y), size, 255, pen)
    else:
        cv2.rectangle(hole, (x - size, y - size // 2), (x + size, y + size // 2), 255, pen)
    words = "".join(rng.choice(_LETTERS, 3))
    scale = size / 32
    cv2.putText(hole, words, (x - size, y + size // 3), int(rng.choice(_FONTS)), scale, 255, pen)
    return _turned(rng, hole, 20)


def grid(rng: Generator, side: int) -> Hole:
    """A fence, a net, a watermark's hatching: two families of parallel lines."""
    hole = _empty(side)
    step = int(rng.integers(side // 8, side // 3))
    pen = int(rng.integers(1, max(2, step // 5)))
    for at in range(int(rng.integers(0, step)), 2 * side, step):
        cv2.line(hole, (at, 0), (at, side), 255, pen)
        if step % 3:
            cv2.line(hole, (0, at), (side, at), 255, pen)
    return _turned(rng, hole, 45)


KINDS: tuple[Draw, ...] = (strokes, box, blob, text, wires, mark, grid)
_SHARES = (0.27, 0.12, 0.2, 0.14, 0.13, 0.07, 0.07)


def _empty(side: int) -> Hole:
    return np.zeros((side, side), np.uint8)


def _direction(angle: float) -> NDArray[np.float64]:
    return np.array([np.cos(angle), np.sin(angle)])


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _turned(rng: Generator, hole: Hole, most: float) -> Hole:
    """Turned by up to ``most`` degrees, and binary again: lettering is drawn with soft edges."""
    side = hole.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-most, most), 1.0)
    there = cv2.warpAffine(hole, turn, (side, side), flags=cv2.INTER_NEAREST)
    return np.asarray(cv2.threshold(there, 95, 255, cv2.THRESH_BINARY)[1], np.uint8)
