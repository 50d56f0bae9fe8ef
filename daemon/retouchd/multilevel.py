"""Pure: the colours of subject and background behind a mixed pixel.

After Germer et al., "Fast Multi-Level Foreground Estimation" (ICPR 2020, arXiv 2006.14970): colours
that mix to the photo's and change little, from a few pixels to all of them, doubling the size each
time and starting from what was found before. Neighbours count by how much of the colour shows in
them, as in blur fusion (Forte, Pitié, ICIP 2021), so that few rounds are enough: one at
each size, and some at the last.

Colours are [H, W, 3], or [H, W] for grey, float32 in [0, 1]; alphas [H, W] float32 in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Colours = NDArray[np.float32]

ROUNDS = 4
"""At the last size; a pixel hears of others as many pixels away."""
_FEW = 1 << 13  # pixels, among which another round costs nothing
_HIDDEN = 0.05  # how much a colour counts that does not show
_LOOSE = 0.02  # how much smoothness counts against the mixture
_STEP = 1.3  # times the correction that would do for a pixel by itself: neighbours take some back


def both_colours(image: Colours, alpha: Alpha) -> tuple[Colours, Colours]:
    """The subject's and the background's colours: image ≈ α · first + (1 − α) · second.

    Where one of them does not show, its colour is carried on from where it does.
    """
    return Mixture.of(image, alpha).settled(*guessed(image, alpha), ROUNDS)


def guessed(image: Colours, alpha: Alpha) -> tuple[Colours, Colours]:
    """Both colours from smaller sizes, up to a quarter of the sides."""
    levels = [(image, alpha)]
    while max(levels[-1][1].shape) > 1:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    first, second = _means(*next(level for level in levels if level[1].size < _FEW))
    for depth in range(len(levels) - 1, 0, -1):
        small, share = levels[depth]
        # What half the size would find is found at the last size as well.
        if depth > 1:
            rounds = 2 if share.size < _FEW else 1
            first, second = Mixture.of(small, share).settled(first, second, rounds)
        first, second = (_doubled(colours, levels[depth - 1][1]) for colours in (first, second))
    return first, second


def _means(image: Colours, alpha: Alpha) -> list[Colours]:
    """Both colours on average, as one pixel."""
    return [
        np.asarray(np.einsum("hw...,hw->...", image, share), np.float32)[None, None]
        / max(float(share.sum()), 1e-6)
        for share in (alpha, 1 - alpha)
    ]


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means of every two by two pixels; the border repeats if a side is odd."""
    height, width = plane.shape[:2]
    if height % 2 or width % 2:
        frame = (0, height % 2, 0, width % 2)
        plane = np.asarray(cv2.copyMakeBorder(plane, *frame, cv2.BORDER_REPLICATE), np.float32)
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _doubled(colours: Colours, like: Alpha) -> Colours:
    height, width = colours.shape[:2]
    twice = np.asarray(cv2.resize(colours, (2 * width, 2 * height)), np.float32)
    return twice[: like.shape[0], : like.shape[1]]


@dataclass(frozen=True, eq=False)
class Mixture:
    """A photo's colours as a mixture of two, by shares that are known.

    share: alpha. correction: by how much what is missing changes both colours together. front,
    back: how much a neighbour's colour counts; all_front, all_back: one over their means. All in
    the image's shape, since that is faster than one for all channels.
    """

    image: Colours
    share: Colours
    correction: Colours
    front: Colours
    back: Colours
    all_front: Colours
    all_back: Colours

    @classmethod
    def of(cls, image: Colours, alpha: Alpha) -> Mixture:
        """The mixture of an image by an alpha."""
        seen, rest = alpha * alpha, (1 - alpha) ** 2
        front, back = seen + np.float32(_HIDDEN), rest + np.float32(_HIDDEN)
        planes = (
            alpha,
            np.asarray(_STEP / (seen + rest + np.float32(_LOOSE)), np.float32),
            front,
            back,
            np.reciprocal(_smooth(front)),
            np.reciprocal(_smooth(back)),
        )
        return cls(image, *(_repeated(plane, image) for plane in planes))

    def settled(self, first: Colours, second: Colours, rounds: int) -> tuple[Colours, Colours]:
        """Both colours, smoother and nearer to mixing to the image."""
        for _ in range(rounds):
            first, second = self.smoothed(first, second)
            missing = self._missing(first, second)
            missing *= self.correction
            of_first = missing * self.share
            missing -= of_first
            first += of_first
            second += missing
        return first, second

    def smoothed(self, first: Colours, second: Colours) -> tuple[Colours, Colours]:
        """The means of both around each pixel, by how much of them shows."""
        first, second = _smooth(first * self.front), _smooth(second * self.back)
        first *= self.all_front
        second *= self.all_back
        return first, second

    def _missing(self, first: Colours, second: Colours) -> Colours:
        """What both lack to mix to the image."""
        mixed: Colours = first - second
        mixed *= self.share
        mixed += second
        return np.subtract(self.image, mixed, out=mixed)


def _smooth(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(plane, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)


def _repeated(plane: Alpha, like: Colours) -> Colours:
    """A plane in each channel of an image."""
    return plane if like.ndim == 2 else np.asarray(cv2.merge([plane] * like.shape[2]), np.float32)
