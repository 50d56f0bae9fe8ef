"""A mask file → gray values, white where something is marked: to be removed, or cut out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.errors import MaskUnreadable
from retouchd.images.decode import decode
from retouchd.images.photo import Pixels
from retouchd.images.richness import has_many_colours

Bytes = NDArray[np.uint8]

_VISIBLE: Final = 128
_UNIFORM: Final = 12
_COLOURFUL: Final = 24
_SOME: Final = 0.02
_PART: Final = 1 << 18
_OPAQUE: Final = "the mask was read from its alpha channel: opaque counts as marked"


@dataclass(frozen=True, eq=False)
class MaskImage:
    """A mask as read, not yet compared with a threshold.

    grey: [H, W] uint8; 255 is remove, 0 is keep. notes: how it was read, if not as plain gray.
    many_colours: whether it is an opaque picture as colourful as a photo, and so hardly a mask.
    """

    grey: Bytes
    notes: tuple[str, ...] = ()
    many_colours: bool = False


def decode_mask(data: bytes | BinaryIO, name: str, max_pixels: int) -> MaskImage:
    """The mask in ``data``, upright, 16 bits scaled to 8.

    Without transparency it is the brightness (luma of Rec. 601): white is remove. A file that is
    transparent in places is read by what people mean with it:

    1. One uniform colour, painted on a transparent layer: what is painted is to be removed. If
       that colour is dark and covers more than half, it is a sheet with holes instead, and the
       holes are to be removed.
    2. A black and white picture with alpha: brightness on a black ground; transparent is keep.
    3. A picture of several colours that is mostly opaque: a photo with holes erased into it; the
       holes are to be removed.
    4. Several colours, mostly transparent: strokes of more than one brush; what is painted is to
       be removed.

    Partly transparent pixels give partial values. Raises MaskUnreadable for a file that is
    transparent everywhere, else what ``decode`` raises.
    """
    photo = decode(data, name, max_pixels)
    pixels = _eight_bits(photo.pixels)
    if not photo.has_alpha or pixels[..., -1].min() == 255:
        notes = ("the mask is coloured; its brightness was used",) if _is_coloured(pixels) else ()
        return MaskImage(_luma(pixels), notes, has_many_colours(pixels))
    alpha = np.ascontiguousarray(pixels[..., -1])
    if alpha.max() == 0:
        raise MaskUnreadable(mask=name, cause="it is transparent everywhere")
    return _from_alpha(pixels, alpha)


def _from_alpha(pixels: Bytes, alpha: Bytes) -> MaskImage:
    """pixels: [H, W, 2 or 4], alpha among them; alpha: [H, W]."""
    level = min(_VISIBLE, int(alpha.max()))
    found = _looked_at(pixels, alpha, level)
    uniform = found.spread <= _UNIFORM
    if uniform and (found.covered <= 0.5 or found.mean >= 128):
        return MaskImage(alpha, (_OPAQUE,))
    if uniform:
        return _holes(alpha)
    if found.colourful <= _SOME and found.black_and_white >= 0.5:
        on_black = np.asarray(cv2.multiply(_luma(pixels), alpha, scale=1 / 255), np.uint8)
        return MaskImage(on_black, ("the transparent parts of the mask count as black",))
    if found.covered > 0.5:
        return _holes(alpha)
    return MaskImage(alpha, (_OPAQUE,))


def _holes(alpha: Bytes) -> MaskImage:
    holes = np.asarray(cv2.bitwise_not(alpha), np.uint8)
    return MaskImage(holes, ("the mask was read from its alpha channel: holes count as marked",))


@dataclass(frozen=True)
class _Look:
    """The share of pixels that are visible; of those the widest range of a channel, their mean,
    and the shares that have a colour and that are near black or near white."""

    covered: float
    spread: int
    mean: float
    colourful: float
    black_and_white: float


def _looked_at(pixels: Bytes, alpha: Bytes, level: int) -> _Look:
    """Part by part, since a mask may be as large as any photo."""
    low, high = np.full(3, 255, np.uint8), np.zeros(3, np.uint8)
    count, total, coloured, plain = 0, 0, 0, 0
    rows = max(1, _PART // alpha.shape[1])
    for top in range(0, alpha.shape[0], rows):
        shown = alpha[top : top + rows] >= level
        colours = _rgb(pixels[top : top + rows])[shown]
        if not len(colours):
            continue
        low = np.minimum(low, colours.min(axis=0))
        high = np.maximum(high, colours.max(axis=0))
        brightest = colours.max(axis=1)
        count, total = count + len(colours), total + int(colours.sum())
        coloured += int((brightest - colours.min(axis=1) > _COLOURFUL).sum())
        plain += int(((brightest <= 32) | (brightest >= 223)).sum())
    spread = int((high - low).max())
    return _Look(count / alpha.size, spread, total / (3 * count), coloured / count, plain / count)


def _is_coloured(pixels: Bytes) -> bool:
    """By a sample of the rows: it only decides whether there is a note."""
    if pixels.shape[2] < 3:
        return False
    sample = pixels[:: max(1, pixels[..., 0].size // _PART), :, :3]
    return float((sample.max(axis=-1) - sample.min(axis=-1) > _COLOURFUL).mean()) > _SOME


def _eight_bits(pixels: Pixels) -> Bytes:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    scaled = cv2.convertScaleAbs(pixels, alpha=1 / 257).reshape(pixels.shape)
    return scaled.astype(np.uint8, copy=False)


def _rgb(pixels: Bytes) -> Bytes:
    """[H, W, 3] without alpha."""
    channels = [0, 0, 0] if pixels.shape[2] <= 2 else [0, 1, 2]
    return np.ascontiguousarray(pixels[..., channels])


def _luma(pixels: Bytes) -> Bytes:
    if pixels.shape[2] <= 2:
        return np.ascontiguousarray(pixels[..., 0])
    return np.asarray(
        cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY), np.uint8
    )
