"""Photos and masks, made from a seed."""

from __future__ import annotations

import cv2
import numpy as np


def texture(seed: int, height: int = 160, width: int = 220) -> np.ndarray:
    """A smooth random photo, BGR."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)


def blob(height: int = 160, width: int = 220) -> np.ndarray:
    """A mask with one hole."""
    mask = np.zeros((height, width), np.uint8)
    mask[60:90, 80:120] = 255
    return mask
