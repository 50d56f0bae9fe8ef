"""A subject somewhere in the frame: turned, scaled, mirrored, tinted, perhaps running out of it."""

from __future__ import annotations

import cv2
import numpy as np
from models.training.matting.light import Light, linear
from models.training.photos import Picture
from numpy.random import Generator
from numpy.typing import NDArray

_LEAST, _MOST = 0.25, 1.35  # of the frame's shorter side


def placed(rng: Generator, subject: Picture, height: int, width: int) -> Light:
    """[h, w, 4] uint8 straight sRGB → [height, width, 4] float32, linear and premultiplied.

    Premultiplied, so that resampling brings in no colour from where there is no subject.
    """
    stands = bool((subject[-1, :, 3] > 127).mean() > 0.3)  # cut off below, as in a portrait
    share = rng.beta(2.2, 2.0) * (_MOST - _LEAST) + _LEAST
    small = _tinted(rng, _reduced(_premultiplied(subject), share * min(height, width)))
    move = _pose(rng, small.shape[0], small.shape[1], height, width, stands)
    moved = cv2.warpAffine(small, move, (width, height), flags=cv2.INTER_LINEAR)
    return _softened(rng, np.asarray(moved, np.float32))


def _premultiplied(subject: Picture) -> Light:
    """[h, w, 4] in linear light."""
    light = linear(subject)
    light[..., :3] *= light[..., 3:]
    return light


def _tinted(rng: Generator, light: Light) -> Light:
    """With other colours than it had: exposure, white balance, hue."""
    if rng.random() < 0.3:
        light = np.ascontiguousarray(light[..., [*rng.permutation(3), 3]])
    if rng.random() < 0.1:
        light[..., :3] = light[..., :3].mean(2, keepdims=True)
    gain = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.1, 3)).astype(np.float32)
    light[..., :3] = np.minimum(light[..., :3] * gain, light[..., 3:])
    return light


def _reduced(light: Light, longest: float) -> Light:
    """Scaled so that the longer side is that long, averaging what becomes smaller."""
    scale = longest / max(light.shape[:2])
    size = tuple(max(2, round(n * scale)) for n in light.shape[1::-1])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(light, size, interpolation=way), np.float32)


def _pose(
    rng: Generator, tall: int, wide: int, height: int, width: int, stands: bool
) -> NDArray[np.float64]:
    """The affine map [2, 3] from the subject's pixels to the frame's."""
    angle = 0.0 if stands else rng.normal(0, 0.2) if rng.random() < 0.8 else rng.uniform(-3.2, 3.2)
    shear = 0.0 if stands else rng.normal(0, 0.08)
    mirror = -1 if rng.random() < 0.5 else 1
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]]) @ np.array([[mirror, shear], [0, 1]])
    turn = turn * np.exp(rng.normal(0, 0.08, 2))
    spread = 0.09 if rng.random() < 0.75 else 0.22  # the latter mostly runs out of the frame
    centre = np.array([width, height]) * (0.5 + rng.normal(0, spread, 2))
    if stands:
        centre[1] = height + 1 - abs(turn[1, 1]) * tall / 2
    shift = centre - turn @ np.array([wide / 2, tall / 2])
    return np.column_stack([turn, shift])


def _softened(rng: Generator, light: Light) -> Light:
    """Sometimes out of focus, or moved while the shutter was open."""
    kind, side = rng.random(), max(light.shape[:2])
    if kind < 0.08:
        return np.asarray(
            cv2.GaussianBlur(light, (0, 0), side * float(rng.uniform(0.002, 0.012))), np.float32
        )
    if kind < 0.14:
        length = max(3, int(side * rng.uniform(0.01, 0.06)))
        path = (length, 1) if rng.random() < 0.6 else (1, length)
        return np.asarray(cv2.blur(light, path), np.float32)
    return light
