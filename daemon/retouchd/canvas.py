"""Pure: a cut-out on its canvas: cropped, placed, filled with colour or before another picture.

Cut-outs are [H, W, 2 or 4] uint8 or uint16: grey or RGB with straight alpha last. Straight means
that colour is what the subject has, not what is left of it; so scaling multiplies by alpha first
and divides after (Porter, Duff 1984), or transparent pixels would bleed into the edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.scaling import Size, Span, resized

Crop = Literal["none", "tight", "square"]
Colour = tuple[float, float, float]  # RGB in [0, 1]
Box = tuple[Span, Span]  # rows and columns; may reach beyond the photo

_SEEN = 8 / 255  # fainter pixels are haze, not subject
_HIDDEN = 1 / 4096  # what a transparent pixel's colour weighs
_STRIP = 1 << 20  # pixels worked on at a time


@dataclass(frozen=True)
class Canvas:
    """What a cut-out is put on.

    crop: "none" keeps the photo's frame; "tight" is the subject's; "square" the smallest square
        around that. Beyond the photo it is transparent.
    margin: around the subject, as a share of its longer side; without effect for "none".
    size: height and width in pixels of a canvas that the subject is put in the middle of, scaled
        to fit; where the photo cuts it off, it stays at that border. Instead of crop.
    fill: share of the canvas's height or width that the subject may have.
    background: a colour, and the result is opaque; None keeps it transparent.
    """

    crop: Crop = "none"
    margin: float = 0.0
    size: Size | None = None
    fill: float = 0.85
    background: Colour | None = None


def placed(cutout: Pixels, canvas: Canvas, picture: Pixels | None = None) -> Pixels:
    """A cut-out on its canvas: [H, W, 2 or 4], or without alpha before a background.

    picture: a photo [h, w, 1 to 4] of either type to put behind it, cropped in the middle to the
    canvas's shape and scaled; it goes before ``canvas.background``. An empty cut-out is put on
    the canvas as a whole. The colour of transparent pixels is kept where nothing is scaled.
    Returns the cut-out itself if nothing is asked for.
    """
    laid = cutout
    if canvas.size is not None:
        laid = _fitted(cutout, bounds(cutout), canvas.size, canvas.fill)
    elif canvas.crop != "none":
        laid = _cropped(cutout, _frame(bounds(cutout), canvas))
    if picture is not None:
        return _before(laid, _covering(picture, laid))
    return laid if canvas.background is None else _before(laid, _plain(canvas.background, laid))


def bounds(cutout: Pixels) -> Box:
    """The rows and columns that the subject is seen in; all of the cut-out if it is empty."""
    alpha = cutout[..., -1]
    seen = (alpha > _SEEN * np.iinfo(cutout.dtype).max).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(seen)
    if not width:
        return (0, alpha.shape[0]), (0, alpha.shape[1])
    return (top, top + height), (left, left + width)


def _frame(subject: Box, canvas: Canvas) -> Box:
    """What is kept of the photo's plane."""
    longer = max(last - first for first, last in subject)
    margin = round(canvas.margin * longer)
    if canvas.crop == "tight":
        return _grown(subject[0], margin, margin), _grown(subject[1], margin, margin)
    side = longer + 2 * margin
    rows, columns = (
        _grown(span, (spare := side - (span[1] - span[0])) // 2, spare - spare // 2)
        for span in subject
    )
    return rows, columns


def _grown(span: Span, before: int, after: int) -> Span:
    return span[0] - before, span[1] + after


def _cropped(cutout: Pixels, frame: Box) -> Pixels:
    """The frame's pixels; transparent where it reaches beyond the photo."""
    height, width = (last - first for first, last in frame)
    out = _empty((height, width), cutout)
    _put(out, cutout, (-frame[0][0], -frame[1][0]))
    return out


def _empty(size: Size, cutout: Pixels) -> Pixels:
    """A transparent canvas in the subject's mean colour: no viewer that scales finds black."""
    step = max(1, max(cutout.shape[:2]) // 256)
    some = cutout[::step, ::step].reshape(-1, cutout.shape[2]).astype(np.float64)
    mean = (some[:, :-1] * some[:, -1:]).sum(axis=0) / max(1.0, some[:, -1].sum())
    out = np.empty((*size, cutout.shape[2]), cutout.dtype)
    out[...] = np.append(np.round(mean), 0).astype(cutout.dtype)
    return out


def _put(out: Pixels, patch: Pixels, corner: tuple[int, int]) -> None:
    """Write a patch to where its top left corner is given, as far as that is within ``out``."""
    target, source = [], []
    for start, length, room in zip(corner, patch.shape[:2], out.shape[:2], strict=True):
        first, last = max(0, start), min(room, start + length)
        target.append(slice(first, max(first, last)))
        source.append(slice(first - start, max(first, last) - start))
    out[tuple(target)] = patch[tuple(source)]


def _fitted(cutout: Pixels, subject: Box, size: Size, fill: float) -> Pixels:
    """The subject, scaled to its share of a transparent canvas of that size."""
    rows, columns = subject
    lengths = (rows[1] - rows[0], columns[1] - columns[0])
    scale = min(fill * room / length for room, length in zip(size, lengths, strict=True))
    height, width = (max(1, round(length * scale)) for length in lengths)
    patch = _scaled(cutout[slice(*rows), slice(*columns)], (height, width))
    corner = (
        _start(size[0], height, _cut(rows, cutout.shape[0])),
        _start(size[1], width, _cut(columns, cutout.shape[1])),
    )
    out = _empty(size, cutout)
    _put(out, patch, corner)
    return out


def _cut(span: Span, length: int) -> tuple[bool, bool]:
    """Whether the photo's border cuts the subject off, at the start and at the end of an axis."""
    return span[0] == 0, span[1] == length


def _start(room: int, length: int, cut: tuple[bool, bool]) -> int:
    """Where a subject begins: a bust stands on the lower border, instead of floating."""
    if cut == (True, False):
        return 0
    return room - length if cut == (False, True) else (room - length) // 2


def _scaled(cutout: Pixels, size: Size) -> Pixels:
    """A cut-out at another size; what is transparent has next to no say in the colours."""
    if cutout.shape[:2] == size:
        return cutout
    alpha = cutout[..., -1].astype(np.float32) / np.float32(np.iinfo(cutout.dtype).max)
    alpha += np.float32(_HIDDEN)  # so that colours beneath what is transparent go on
    weight = np.maximum(resized(alpha, size), np.float32(_HIDDEN / 2))
    out = np.empty((*size, cutout.shape[2]), cutout.dtype)
    # One channel at a time: all of them as floats are large.
    for channel in range(cutout.shape[2] - 1):
        out[..., channel] = _samples(
            resized(cutout[..., channel] * alpha, size) / weight, cutout.dtype
        )
    out[..., -1] = resized(np.ascontiguousarray(cutout[..., -1]), size)
    return out


def _before(cutout: Pixels, behind: Pixels) -> Pixels:
    """The cut-out over an opaque picture [H, W, C] of its size and type."""
    out = np.empty(behind.shape, behind.dtype)
    top = np.float32(np.iinfo(cutout.dtype).max)
    for rows in _strips(cutout.shape):
        share = cutout[rows, :, -1:].astype(np.float32) / top
        back = behind[rows].astype(np.float32)
        out[rows] = _samples(back + share * (cutout[rows, :, :-1] - back), out.dtype)
    return out


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    step = max(1, _STRIP // shape[1])
    for top in range(0, shape[0], step):
        yield slice(top, min(top + step, shape[0]))


def _plain(colour: Colour, like: Pixels) -> Pixels:
    """The colour everywhere: RGB, also behind a grey cut-out unless it is grey itself."""
    channels = 1 if like.shape[2] == 2 and len(set(colour)) == 1 else 3
    top = np.iinfo(like.dtype).max
    sample = _samples(np.asarray(colour[:channels], np.float32) * np.float32(top), like.dtype)
    return np.broadcast_to(sample, (*like.shape[:2], channels))


def _covering(picture: Pixels, like: Pixels) -> Pixels:
    """The middle of a picture, scaled to cover what is laid before it: RGB, without its alpha."""
    height, width = like.shape[:2]
    scale = max(height / picture.shape[0], width / picture.shape[1])
    kept = (
        min(picture.shape[0], max(1, round(height / scale))),
        min(picture.shape[1], max(1, round(width / scale))),
    )
    top, left = (picture.shape[0] - kept[0]) // 2, (picture.shape[1] - kept[1]) // 2
    middle = picture[top : top + kept[0], left : left + kept[1]]
    colours = middle[..., :1].repeat(3, axis=2) if picture.shape[2] < 3 else middle[..., :3]
    covering = resized(np.ascontiguousarray(colours), (height, width))
    if covering.dtype != like.dtype:
        deeper = np.float32(np.iinfo(like.dtype).max / np.iinfo(covering.dtype).max)
        return _samples(covering.astype(np.float32) * deeper, like.dtype)
    return covering


def _samples(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    top = np.float32(np.iinfo(dtype).max)
    rounded: NDArray[Any] = np.floor(np.clip(values, 0, top) + np.float32(0.5)).astype(dtype)
    return rounded
