"""A mask file → gray values, white where something is to be removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.errors import MaskUnreadable
from retouchd.images.decode import decode
from retouchd.images.photo import Pixels

Bytes = NDArray[np.uint8]

_VISIBLE: Final = 128
_UNIFORM: Final = 12
_COLOURFUL: Final = 24
_SOME: Final = 0.02


@dataclass(frozen=True, eq=False)
class MaskImage:
    """A mask as read, not yet compared with a threshold.

    grey: [H, W] uint8; 255 is remove, 0 is keep. notes: how it was read, if not as plain gray.
    """

    grey: Bytes
    notes: tuple[str, ...] = ()


def decode_mask(data: bytes, name: str, max_pixels: int) -> MaskImage:
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
        return MaskImage(_luma(pixels), notes)
    alpha = np.ascontiguousarray(pixels[..., -1])
    if alpha.max() == 0:
        raise MaskUnreadable(mask=name, cause="it is transparent everywhere")
    return _from_alpha(_rgb(pixels), alpha)


def _from_alpha(rgb: Bytes, alpha: Bytes) -> MaskImage:
    shown = alpha >= min(_VISIBLE, int(alpha.max()))
    covered = float(shown.mean())
    colours = rgb[shown]
    uniform = int(np.ptp(colours, axis=0).max()) <= _UNIFORM
    if uniform and (covered <= 0.5 or colours.mean() >= 128):
        return MaskImage(alpha, ("the mask was read from its alpha channel: opaque is removed",))
    if uniform:
        return _holes(alpha)
    if not _many(_chroma(colours) > _COLOURFUL) and _is_black_and_white(colours):
        on_black = np.asarray(cv2.multiply(_luma(rgb), alpha, scale=1 / 255), np.uint8)
        return MaskImage(on_black, ("the transparent parts of the mask count as black",))
    if covered > 0.5:
        return _holes(alpha)
    return MaskImage(alpha, ("the mask was read from its alpha channel: opaque is removed",))


def _holes(alpha: Bytes) -> MaskImage:
    return MaskImage(255 - alpha, ("the mask was read from its alpha channel: holes are removed",))


def _is_black_and_white(colours: Bytes) -> bool:
    """Whether most of [N, 3] pixels are near black or near white."""
    gray = colours.max(axis=1)
    return float(((gray <= 32) | (gray >= 223)).mean()) >= 0.5


def _chroma(colours: Bytes) -> Bytes:
    spread: Bytes = colours.max(axis=-1) - colours.min(axis=-1)
    return spread


def _many(flags: NDArray[np.bool_]) -> bool:
    return float(flags.mean()) > _SOME


def _is_coloured(pixels: Bytes) -> bool:
    return pixels.shape[2] >= 3 and _many(_chroma(pixels[..., :3]) > _COLOURFUL)


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
