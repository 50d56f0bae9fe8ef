"""Pure: the subject's own colours, so that a cut-out shows nothing of its old background.

A half transparent pixel of a photo is a mixture; put on another background it would glow with the
old one. Both of its colours are found on a reduced photo (see ``underlying``), and what their
mixture lacks of the photo is shared out between them pixel by pixel. The colours are carried on
beneath what is transparent, because programs that scale pictures look there as well.

Photos are [H, W, C] uint8 or uint16, alphas [H, W] float32 in [0, 1] or of the photo's type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.patchwork import Patch, patches
from retouchd.underlying import STRIP, Samples, Underlying, as_samples, colours_of

Alpha = NDArray[np.float32]
Marks = NDArray[np.bool_]  # [strips, W]

_REACH = 16  # px beyond the edge that the colours are carried on for, at least
_FAINT = 0.02  # alphas as near to 0 or 1 show too little of one side to matter
_GAP = 32  # px: to work on them costs less than to leave them out
_AT_ONCE = 768  # columns of strips, which stay in the processor's cache


def foreground(pixels: Pixels, alpha: Alpha | Samples) -> Pixels:
    """The subject's colours [H, W, 1 or 3], of the photo's type; see ``cut_out``."""
    return cut_out(pixels, alpha)[..., :-1]


def cut_out(pixels: Pixels, alpha: Alpha | Samples) -> Pixels:
    """The subject's colours and alpha [H, W, 2 or 4], of the photo's type.

    Opaque pixels keep their colours exactly. Around the edge, transparent ones have the colour that
    the subject has nearby; further away all have its mean, so that nothing of the old background is
    left in the file.
    """
    shares = as_samples(alpha, pixels.dtype)
    clear, edge = _sorted_out(shares)
    # Without an edge there is all of the subject, or none.
    below = Underlying.of(pixels, shares, edge) if edge.any() else None
    out = _empty(pixels)
    for part in _parts(~(clear | edge), shares):
        _join(out[part.slices], pixels[part.slices], shares[part.slices])
    _blot_out(out, shares, clear, below.mean if below else np.zeros(out.shape[2] - 1, out.dtype))
    if below:
        for parts in _together(edge, shares):
            both = below.enlarged(parts)
            seen = _beside(shares, parts)
            own = _unmixed(colours_of(_beside(pixels, parts)), seen, *both)
            _put_back(out, np.atleast_3d(own), seen, parts)
    return out


def uncut(pixels: Pixels, alpha: Alpha | Samples) -> Pixels:
    """The photo's colours as they are, with another alpha [H, W, 2 or 4], of the photo's type."""
    out = _empty(pixels)
    _join(out, pixels, as_samples(alpha, pixels.dtype))
    return out


def _empty(pixels: Pixels) -> Samples:
    return np.empty((*pixels.shape[:2], 2 if pixels.shape[2] < 3 else 4), pixels.dtype)


def _join(out: Samples, pixels: Samples, shares: Samples) -> None:
    """Write colours [H, W, C], without their own alpha, and an alpha [H, W]."""
    if out.shape[2] == 2:
        out[..., 0] = pixels[..., 0]
    elif pixels.shape[2] == 4:
        out[...] = pixels
    else:
        cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA, dst=out)
    cv2.insertChannel(shares, out, out.shape[2] - 1)


def _sorted_out(shares: Samples) -> tuple[Marks, Marks]:
    """Which columns of each strip are clear, and which hold some of the edge or are near to it."""
    top = np.iinfo(shares.dtype).max
    strips = [shares[row : row + STRIP] for row in range(0, shares.shape[0], STRIP)]
    seen = np.stack([strip.max(axis=0) for strip in strips]) > _FAINT * top
    opaque = np.stack([strip.min(axis=0) for strip in strips]) >= (1 - _FAINT) * top
    near = cv2.dilate(seen.astype(np.uint8), np.ones((3, 2 * _REACH + 1), np.uint8)) > 0
    return ~near, near & ~opaque


def _blot_out(out: Samples, shares: Samples, clear: Marks, colour: Samples) -> None:
    """Write one colour wherever it is clear; what is faint stays faint."""
    pixel = np.append(colour, np.zeros(1, colour.dtype))
    # Whole pixels are written several times as fast as their samples.
    whole = f"u{pixel.nbytes}"
    canvas, value = out.view(whole)[..., 0], pixel.view(whole)[0]
    for part in _parts(clear, shares):
        canvas[part.slices] = value
        if cv2.countNonZero(shares[part.slices]):
            cv2.insertChannel(shares[part.slices], out[part.slices], out.shape[2] - 1)


def _parts(marked: Marks, like: Samples) -> Iterator[Patch]:
    """The pixels of what is marked of strips."""
    return (_pixels(strip, like) for strip in patches(marked, 1, like.shape[1], 0))


def _pixels(strips: Patch, like: Samples) -> Patch:
    first, end = strips.rows
    return Patch((first * STRIP, min(end * STRIP, like.shape[0])), strips.columns)


def _together(edge: Marks, like: Samples) -> Iterator[list[Patch]]:
    """Parts of strips, as many as are worked on at once; a low last strip goes by itself."""
    some: list[Patch] = []
    for strip in patches(edge, 1, _AT_ONCE, _GAP):
        part = _pixels(strip, like)
        width = sum(other.shape[1] for other in some) + part.shape[1]
        if some and (width > _AT_ONCE or part.shape[0] != some[0].shape[0]):
            yield some
            some = []
        some.append(part)
    if some:
        yield some


def _beside(plane: Samples, parts: list[Patch]) -> Samples:
    """Parts of a plane, side by side."""
    return np.hstack([plane[part.slices] for part in parts])


def _put_back(out: Samples, own: Samples, shares: Samples, parts: list[Patch]) -> None:
    joined, left = _empty(own), 0
    _join(joined, own, shares)
    for part in parts:
        out[part.slices] = joined[:, left : left + part.shape[1]]
        left += part.shape[1]


def _unmixed(image: Samples, shares: Samples, subject: Samples, background: Samples) -> Samples:
    """The subject's part of each pixel's colour, which is all of it where that is opaque."""
    share = shares.astype(np.float32) / np.float32(np.iinfo(shares.dtype).max)
    lacking: NDArray[Any] = cv2.subtract(image, background, dtype=cv2.CV_32F)
    apart: NDArray[Any] = cv2.subtract(subject, background, dtype=cv2.CV_32F)
    apart *= _repeated(share, apart)
    lacking -= apart
    lacking *= _repeated(share / (share * share + (1 - share) ** 2), apart)
    depth = cv2.CV_8U if image.dtype == np.uint8 else cv2.CV_16U
    return cv2.add(subject, lacking, dtype=depth)


def _repeated(plane: Alpha, like: NDArray[Any]) -> NDArray[Any]:
    return plane if like.ndim == 2 else cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB)
