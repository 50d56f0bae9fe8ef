"""Photos for a matte lane: products before a plain backdrop, clutter, and rough masks."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 120, 160
OPAQUE = np.s_[45:75, 60:100]
"""Surely inside the product."""
BACKDROP = np.s_[:12, :]
"""Surely behind it."""


def product(seed: int = 0, channels: int = 3, depth: int = 8) -> np.ndarray:
    """A coloured ellipse before a light backdrop [120, 160, channels], RGB order, no alpha."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    away = np.hypot((rows - HEIGHT / 2) / 36, (columns - WIDTH / 2) / 48)
    share = np.clip((1 - away) * 24 + 0.5, 0, 1)[..., None]
    waves = np.stack([np.sin(columns / 9 + seed), np.cos(rows / 7 + seed), 0 * rows], axis=-1)
    subject = np.array([0.25, 0.4, 0.65]) + 0.1 * waves
    unit = 0.92 * (1 - share) + subject * share + rng.normal(0, 0.002, (HEIGHT, WIDTH, 3))
    if channels == 1:
        unit = unit.mean(axis=2, keepdims=True)
    top = 255 if depth == 8 else 65535
    return np.round(unit.clip(0, 1) * top).astype(np.uint8 if depth == 8 else np.uint16)


def clutter(seed: int = 0) -> np.ndarray:
    """No backdrop at all: RGB patches."""
    small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)


def rough(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """About where the product is [height, width], 255 or 0."""
    mask = np.zeros((height, width), np.uint8)
    centre, axes = (width // 2, height // 2), (round(0.31 * width), round(0.31 * height))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
    return mask


def file(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encoded by Pillow."""
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.squeeze(pixels))
    image.save(stream, kind, **options)
    return stream.getvalue()


def deep_file(pixels: np.ndarray, suffix: str) -> bytes:
    """16 bits, encoded by OpenCV."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(pixels.shape[2])
    data: np.ndarray = cv2.imencode(suffix, pixels[..., order] if order else pixels)[1]
    return data.tobytes()


def pixels_of(data: bytes) -> np.ndarray:
    """[H, W, C] in RGB order, in the file's own depth; by OpenCV."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    pixels = found if found.ndim == 3 else found[..., None]
    return pixels[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]]
