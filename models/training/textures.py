"""Procedural pictures: what is regular in the world, in any amount and free of rights.

Every function gives [side, side, 3] uint8 RGB from one numpy generator. Dead leaves (Lee,
Mumford, Huang 2001) have the edges and the scale-free statistics of photos; gratings, tiles and
gradients teach a network to continue periods, directions and ramps.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]


def random_texture(rng: Generator, side: int) -> Picture:
    """One picture of a random kind."""
    make: Callable[[Generator, int], Field] = _KINDS[rng.choice(len(_KINDS), p=_SHARES)]
    picture = make(rng, side)
    if rng.random() < 0.5:
        picture = picture + rng.normal(0, rng.uniform(1, 8), picture.shape).astype(np.float32)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def dead_leaves(rng: Generator, side: int) -> Field:
    """Opaque shapes of scale-free sizes, each over the earlier ones."""
    picture = np.empty((side, side, 3), np.float32)
    picture[:] = _colour(rng)
    least, most = side / 48, side / 2
    for _ in range(int(rng.integers(80, 240))):
        # Sizes with density r⁻³ between the limits: that is what makes it scale-free.
        size = (least**-2 + rng.random() * (most**-2 - least**-2)) ** -0.5
        at = tuple(int(v) for v in rng.integers(0, side, 2))
        axes = (max(1, round(size)), max(1, round(size * rng.uniform(0.3, 1))))
        colour = tuple(float(v) for v in _colour(rng))
        if rng.random() < 0.6:
            cv2.ellipse(picture, at, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((at, axes, float(rng.uniform(0, 90))))
            cv2.fillPoly(picture, [np.round(corners).astype(np.int32)], colour, cv2.LINE_AA)
    return picture


def grating(rng: Generator, side: int) -> Field:
    """One or two crossed waves between two colours: boards, cloth, water."""
    wave = _wave(rng, side)
    if rng.random() < 0.5:
        other = _wave(rng, side)
        wave = wave * other if rng.random() < 0.5 else np.maximum(wave, other)
    return _between(rng, wave)


def tiles(rng: Generator, side: int) -> Field:
    """Rows of tiles with joints, every other row shifted: bricks, paving, windows."""
    height, width = (float(v) for v in rng.uniform(side / 16, side / 3, 2))
    joint = rng.uniform(0.04, 0.25) * min(height, width)
    y, x = _turned_axes(rng, side, 0.3)
    row = np.floor(y / height)
    x = x + rng.choice([0, 0.5]) * width * (row % 2)
    column = np.floor(x / width)
    from_joint = np.minimum(_to_edge(y - row * height, height), _to_edge(x - column * width, width))
    stone = np.clip(from_joint - joint / 2 + 0.5, 0, 1)
    shade = rng.normal(0, 10, 4096)[((row * 61 + column * 17) % 4096).astype(int)]
    return _between(rng, stone) + np.asarray((shade * stone)[..., None], np.float32)


def gradient(rng: Generator, side: int) -> Field:
    """A soft ramp, straight or bent: sky, wall, studio ground."""
    y, x = _turned_axes(rng, side, np.pi)
    ramp = x / side + rng.normal(0, 0.5) * (y / side) ** 2
    return _between(rng, (ramp - ramp.min()) / (np.ptp(ramp) + 1e-6))


def cloud(rng: Generator, side: int) -> Field:
    """Noise with a power-law spectrum: plaster, stone, grass from afar."""
    power = rng.uniform(0.8, 2.2)
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    amplitude = np.hypot(fy * rng.uniform(0.4, 1), fx) + 1 / side
    noise = rng.normal(size=(side, side))
    field = np.fft.irfft2(np.fft.rfft2(noise) * amplitude**-power, s=(side, side))
    field = (field - field.min()) / (np.ptp(field) + 1e-9)
    return _between(rng, field)


_KINDS = (dead_leaves, grating, tiles, gradient, cloud)
_SHARES = (0.35, 0.2, 0.2, 0.1, 0.15)


def _colour(rng: Generator) -> NDArray[np.float64]:
    return np.clip(rng.normal(120, 55) + rng.normal(0, 25, 3), 0, 255)


def _between(rng: Generator, share: NDArray[np.floating]) -> Field:
    """Two colours mixed by ``share`` [H, W] in 0…1."""
    low, high = _colour(rng), _colour(rng)
    return (low + share[..., None] * (high - low)).astype(np.float32)


def _turned_axes(
    rng: Generator, side: int, most: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates y, x in pixels, [side, side], turned by up to ``most`` radians."""
    angle = rng.uniform(-most, most)
    y, x = np.mgrid[:side, :side].astype(np.float64) + rng.uniform(0, side, 2)[:, None, None]
    return y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)


def _to_edge(at: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    return np.minimum(at, length - at)


def _wave(rng: Generator, side: int) -> NDArray[np.float64]:
    _, x = _turned_axes(rng, side, np.pi)
    period = float(np.exp(rng.uniform(np.log(5), np.log(side / 2))))
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * x / period)
    sharp = rng.uniform(1, 8)
    return np.clip(0.5 + sharp * (wave - 0.5), 0, 1)
