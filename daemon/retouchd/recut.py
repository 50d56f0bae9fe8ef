"""Pure: a rough mask drawn by hand, moved to where the photo's colours change.

A hand goes a little too wide or too tight, all along; a solver that believes it keeps a fringe of
the background. Colours decide better: iterated graph cuts on mixtures of Gaussians (Rother et al.,
"GrabCut", 2004), within the band that the mask leaves open, on a reduced photo. What is left open
then is narrower than before.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.scaling import resized, unit_colours
from retouchd.trimap import Alpha, from_alpha, from_mask, half_width, reduced

Grey = NDArray[np.uint8]

_SIDE = 400  # px that the photo is reduced to
_ROUNDS = 3
_NARROWER = 0.7  # measured: a cut is wrong by less than a hand, but not by nothing
_SLOPE = 4  # of the half width: how steep the first guess is


def recut(photo: Pixels, mask: Grey) -> tuple[Alpha, Alpha]:
    """A trimap [H, W] and a first guess of alpha for a photo [H, W, C] and a rough mask [H, W].

    mask: uint8, subject where it is over 127. What lies far from its edge stays as it says.
    """
    reach, rough = half_width(mask), from_mask(mask)
    cut = _cut(photo, mask, rough)
    trimap = from_alpha(cut, max(2, round(_NARROWER * reach)))
    for sure in (0, 1):
        trimap[rough == sure] = sure
    guess = cv2.GaussianBlur(cut, (0, 0), max(1.0, reach / _SLOPE))
    return trimap, np.asarray(guess, np.float32)


def _cut(photo: Pixels, mask: Grey, trimap: Alpha) -> Alpha:
    """Subject or not [H, W], enlarged from a reduced photo; the mask where there is no choice."""
    scale = min(1.0, _SIDE / max(mask.shape))
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    small = reduced(trimap, (height, width))
    labels = np.where(resized(mask, (height, width)) > 127, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    labels[small == 1], labels[small == 0] = cv2.GC_FGD, cv2.GC_BGD
    subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if (small == 0).any() and (small == 1).any():
        subject = _by_colour(photo, labels.astype(np.uint8))
    wide = cv2.resize(subject.astype(np.float32), mask.shape[::-1])
    return np.asarray(wide, np.float32)


def _by_colour(photo: Pixels, labels: Grey) -> NDArray[np.bool_]:
    small = unit_colours(photo, (labels.shape[0], labels.shape[1])) * np.float32(255)
    image = np.ascontiguousarray((small + np.float32(0.5)).clip(0, 255).astype(np.uint8))
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # the mixtures begin by chance; the same photo gives the same cut
    cv2.grabCut(image, labels, (0, 0, 1, 1), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    found: NDArray[np.bool_] = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return found
