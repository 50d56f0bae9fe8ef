"""Procedural subjects: things with an exact alpha, in any amount and free of rights.

Every function gives [SIDE, SIDE, 4] uint8, sRGB and straight alpha, as a cut-out is. What they
teach is not what a cat looks like, but what a subject is: one surface in front of another, with
holes through which one sees, hair along its outline, and glass.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from models.training.matting.material import Material
from models.training.photos import Picture
from models.training.textures import random_texture
from numpy.random import Generator
from numpy.typing import NDArray

SIDE = 288
Points = NDArray[np.float64]  # [N, 2], x and y in pixels
Plane = NDArray[np.uint8]  # [SIDE, SIDE]

_FINE = 4  # bits of a pixel's fraction in OpenCV's coordinates


def random_subject(rng: Generator, material: Material) -> Picture:
    """One thing of a random kind."""
    make: Callable[[Generator, Material], Picture] = KINDS[rng.choice(len(KINDS), p=_SHARES)]
    return make(rng, material)


def solid(rng: Generator, material: Material) -> Picture:
    """A body, perhaps with holes or cut to a lattice."""
    cover = _body(rng)
    if rng.random() < 0.4:
        cover = np.minimum(cover, 255 - _holes(rng))
    if rng.random() < 0.15:
        cover = np.minimum(cover, _lattice(rng))
    return _joined(_shaded(rng, _stuff(rng, material), cover), cover)


def furry(rng: Generator, material: Material) -> Picture:
    """A body with hair along its outline."""
    outline = _outline(rng, 0.16, 0.34)
    cover = _filled([outline])
    hair = _hair(rng, outline)
    stuff = _shaded(rng, _stuff(rng, material), cover)
    grain = cv2.blur(rng.integers(0, 256, cover.shape, np.uint8), (1, 7)).astype(np.float32) / 128
    stuff = np.clip(stuff * (0.7 + 0.3 * grain[..., None]), 0, 255).astype(np.uint8)
    return _joined(_spread(stuff, cover), np.maximum(cover, hair))


def strands(rng: Generator, material: Material) -> Picture:
    """Stems, wires, legs of a table: thick and thin curves that meet in a point, or don't."""
    cover = np.zeros((SIDE, SIDE), np.uint8)
    root = rng.uniform(0.3, 0.7, 2) * SIDE
    for _ in range(rng.integers(3, 14)):
        start = root if rng.random() < 0.7 else rng.uniform(0.1, 0.9, 2) * SIDE
        curve = _bezier(start, *(rng.uniform(0.04, 0.96, (2, 2)) * SIDE))
        pen = int(rng.integers(1, 14))
        _line(cover, curve, 255, pen)
        if rng.random() < 0.4:
            leaf = _around(curve[-1], rng, SIDE * rng.uniform(0.03, 0.12))
            cover = np.maximum(cover, _filled([leaf]))
    return _joined(_shaded(rng, _stuff(rng, material), cover), cover)


def sheer(rng: Generator, material: Material) -> Picture:
    """Glass, veil, smoke: half transparent, often with a rim that is not."""
    cover = _body(rng)
    inside = cv2.distanceTransform(cover, cv2.DIST_L2, 3)
    rim = np.exp(-inside / rng.uniform(2, 14))
    haze = cv2.resize(rng.random((5, 5), np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    density = np.clip(rng.uniform(0.1, 0.6) + 0.4 * (haze - 0.5) + rim * rng.uniform(0, 0.9), 0, 1)
    stuff = _shaded(rng, _plain(rng), cover)
    return _joined(stuff, (cover * density).astype(np.uint8))


KINDS = (solid, furry, strands, sheer)
_SHARES = (0.52, 0.24, 0.12, 0.12)


def _joined(colour: Picture, cover: Plane) -> Picture:
    return np.dstack([colour, cover])


def _body(rng: Generator) -> Plane:
    """One to three overlapping outlines, round or with corners."""
    parts = [_outline(rng, 0.18, 0.46)]
    for _ in range(rng.choice([0, 0, 1, 2])):
        parts.append(_around(parts[0][int(rng.integers(64))], rng, SIDE * rng.uniform(0.08, 0.2)))
    return _filled(parts)


def _outline(rng: Generator, least: float, most: float) -> Points:
    return _around(np.full(2, SIDE / 2), rng, SIDE * rng.uniform(least, most))


def _around(centre: Points, rng: Generator, radius: float) -> Points:
    """64 points: a blob, a rounded box, a star or a polygon; kept within the picture."""
    turns = np.linspace(0, 2 * np.pi, 64, endpoint=False) + rng.uniform(0, 2 * np.pi)
    kind = rng.random()
    if kind < 0.5:
        waves = np.arange(1, 7)[:, None]
        depths = rng.normal(0, 0.28, (6, 1)) / waves
        away = 1 + (depths * np.sin(waves * turns + rng.uniform(0, 6.3, (6, 1)))).sum(0)
    elif kind < 0.8:
        power = rng.uniform(0.4, 8)
        away = (np.abs(np.cos(turns)) ** power + np.abs(np.sin(turns)) ** power) ** (-1 / power)
    else:
        corners = int(rng.integers(3, 9))
        away = 1 + rng.uniform(0.1, 0.5) * np.sign(np.sin(corners * turns))
    shape = np.stack([np.cos(turns), np.sin(turns)], 1) * np.abs(away)[:, None]
    stretched = shape * radius * np.exp(rng.normal(0, 0.25, 2))
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(np.clip(centre + stretched @ turn, 3, SIDE - 4))


def _filled(outlines: list[Points]) -> Plane:
    cover = np.zeros((SIDE, SIDE), np.uint8)
    for outline in outlines:
        cv2.fillPoly(cover, [_fixed(outline)], 255, cv2.LINE_AA, _FINE)
    return cover


def _holes(rng: Generator) -> Plane:
    spots = rng.uniform(0.3, 0.7, (int(rng.integers(1, 4)), 2)) * SIDE
    return _filled([_around(spot, rng, SIDE * rng.uniform(0.03, 0.13)) for spot in spots])


def _lattice(rng: Generator) -> Plane:
    """Two families of bars."""
    cover = np.zeros((SIDE, SIDE), np.uint8)
    gap, pen = int(rng.integers(12, 44)), int(rng.integers(3, 9))
    for angle in rng.uniform(0, np.pi) + np.array([0, rng.uniform(0.6, np.pi / 2)]):
        along = np.array([np.cos(angle), np.sin(angle)]) * SIDE
        across = np.array([-along[1], along[0]]) / SIDE
        for at in range(-SIDE, SIDE, gap):
            middle = SIDE / 2 + across * at
            _line(cover, np.stack([middle - along, middle + along]), 255, pen)
    return cover


def _hair(rng: Generator, outline: Points) -> Plane:
    """Strands that begin on the outline and bend one way, thinner towards the tip."""
    hair = np.zeros((SIDE, SIDE), np.uint8)
    curves = _bezier(*_strands(rng, outline, int(rng.integers(60, 220))))
    for part in np.array_split(curves, 12):
        strand = int(rng.integers(90, 256))
        _lines(hair, part[:, :7], strand, int(rng.integers(1, 4)))
        _lines(hair, part[:, 6:], strand, 1)
    return hair


def _strands(rng: Generator, outline: Points, count: int) -> tuple[Points, Points, Points]:
    """Roots, knees and tips, each [count, 2]."""
    at = rng.uniform(0, 64, count)
    first, share = at.astype(int), (at % 1)[:, None]
    root = (1 - share) * outline[first] + share * outline[(first + 1) % 64]
    out = root - outline.mean(0)
    out /= np.linalg.norm(out, axis=1, keepdims=True) + 1e-6
    length = SIDE * rng.uniform(0.03, 0.16)
    comb = rng.normal(0, 0.6, 2) * length
    reach = rng.uniform(0.3, 0.8, (count, 1)) * length
    knee = root + out * reach + rng.normal(0, 0.15, (count, 2)) * length
    on = out * rng.uniform(0, 0.7, (count, 1)) * length
    return root - 3 * out, knee, knee + on + comb + rng.normal(0, 0.3, (count, 2)) * length


def _bezier(start: Points, bend: Points, end: Points) -> Points:
    """Points [..., 2] → curves [..., 12, 2]."""
    t = np.linspace(0, 1, 12)[:, None]
    start, bend, end = start[..., None, :], bend[..., None, :], end[..., None, :]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end


def _line(plane: Plane, curve: Points, value: int, pen: int) -> None:
    _lines(plane, curve[None], value, pen)


def _lines(plane: Plane, curves: Points, value: int, pen: int) -> None:
    cv2.polylines(plane, list(_fixed(curves)), False, value, pen, cv2.LINE_AA, _FINE)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.round(points * (1 << _FINE)).astype(np.int32)


def _stuff(rng: Generator, material: Material) -> Picture:
    """What the body is made of: a piece of a photo, a texture, a colour."""
    kind = rng.random()
    if kind < 0.45:
        photo, _ = material.photo(rng)
        wide = int(rng.uniform(0.2, 0.8) * min(photo.shape[:2]))
        top, left = (int(rng.integers(0, n - wide + 1)) for n in photo.shape[:2])
        piece = photo[top : top + wide, left : left + wide]
        return np.asarray(cv2.resize(piece, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    if kind < 0.65:
        return np.asarray(cv2.resize(random_texture(rng, 144), (SIDE, SIDE)), np.uint8)
    return _plain(rng)


def _plain(rng: Generator) -> Picture:
    """A colour that runs into a near one."""
    first = rng.uniform(0, 255, 3) * rng.uniform(0.2, 1)
    ends = np.clip(first + rng.normal(0, 25, (2, 2, 3)), 0, 255).astype(np.float32)
    return np.asarray(cv2.resize(ends, (SIDE, SIDE)), np.uint8)


def _shaded(rng: Generator, colour: Picture, cover: Plane) -> Picture:
    """Lit from one side, as if the body were swollen; the more so the rounder it is."""
    inside = cv2.distanceTransform((cover > 127).astype(np.uint8), cv2.DIST_L2, 3)
    height = np.minimum(inside, rng.uniform(4, 60))
    height = cv2.GaussianBlur(height, (0, 0), float(rng.uniform(2, 8)))
    slope = np.cos(angle := rng.uniform(0, 2 * np.pi)) * cv2.Sobel(height, cv2.CV_32F, 1, 0)
    slope += np.sin(angle) * cv2.Sobel(height, cv2.CV_32F, 0, 1)
    light = 1 + rng.uniform(0, 0.6) * slope / (np.abs(slope).max() + 1e-6)
    lit = colour * light[..., None]
    if rng.random() < 0.3:
        lit += 160 * np.clip(light[..., None] - 1.3, 0, 1)  # gloss
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _spread(colour: Picture, cover: Plane) -> Picture:
    """The body's colours carried outwards, for the hair that grows there."""
    share = (cover / 255).astype(np.float32)[..., None]
    both = np.dstack([colour * share, share]).astype(np.float32)
    soft = np.asarray(cv2.blur(both, (61, 61))) + 1e-3 * both.mean((0, 1))
    mixed = share * colour + (1 - share) * soft[..., :3] / np.maximum(soft[..., 3:], 1e-6)
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)
