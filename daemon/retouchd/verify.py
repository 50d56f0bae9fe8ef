"""The last look at an output before anybody sees it."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.blend import same_outside
from retouchd.errors import OutputWrong, PermanentError
from retouchd.images import SHARE, decode, decode_parts, decode_reduced, holds, read_header
from retouchd.images.source import Source

_LOSSY_MEAN = 0.06
"""Largest mean difference that lossy coding may make, as a share of the full range."""
_PART = 1 << 18
"""Bytes compared at a time: they stay in the processor's cache."""
_LINES = 256
"""How many rows a lossy output is judged by; of a JPEG they are those of some rows of blocks."""


def check_output(
    output: bytes | BinaryIO,
    *,
    composed: NDArray[Any],
    original: NDArray[Any],
    hole: NDArray[np.uint8],
    lossless: bool,
    name: str,
) -> None:
    """As ``check_written``, and the pixels outside the hole are the original's.

    original: [H, W, C] as it was. hole: [H, W] uint8 0/255.
    """
    if not same_outside(composed, original, hole):
        raise OutputWrong(path=name, cause="pixels outside the mask would have changed")
    check_written(output, composed, lossless=lossless, name=name)


def check_written(
    output: bytes | BinaryIO, composed: NDArray[Any], *, lossless: bool, name: str
) -> None:
    """Decode an output, bytes or an open file, and compare it; raises OutputWrong, or a
    TransientError where it can't be read.

    composed: [H, W, C] as it should be. Lossless: every pixel is that one. Lossy: same size and
    close on average; of a JPEG all data is read, and its blocks' means compared.
    """
    if isinstance(output, bytes):
        _judge(io.BytesIO(output), composed, lossless, name)
        return
    try:
        _judge(output, composed, lossless, name)
    except OutputWrong:
        # A codec that reads by itself takes an error of the disk for damage.
        _judge(io.BytesIO(Source(output, name).whole()), composed, lossless, name)


def _judge(file: BinaryIO, composed: NDArray[Any], lossless: bool, name: str) -> None:
    try:
        header = read_header(file, name)
        _check_size((header.height, header.width), composed, name)
        if header.format == "jpeg" and min(composed.shape[:2]) >= SHARE:
            _check_blocks(file, composed, name)
        elif header.format == "png" and (same := holds(file, name, composed)) is not None:
            _expect(same, name)
        else:
            _check_pixels(file, composed, lossless, name)
    except OutputWrong:
        raise
    except PermanentError as error:
        raise OutputWrong(path=name, cause=f"it can't be decoded ({error.message})") from None


def _check_blocks(output: BinaryIO, composed: NDArray[Any], name: str) -> None:
    seen = decode_reduced(output, name)
    rows, columns = composed.shape[0] // SHARE, composed.shape[1] // SHARE
    chosen = range(0, rows, max(1, SHARE * rows // _LINES))
    wanted = [
        _shrunk(composed[SHARE * row : SHARE * (row + 1), : SHARE * columns]) for row in chosen
    ]
    _check_alike(seen[chosen, :columns], np.concatenate(wanted), name)


def _shrunk(band: NDArray[Any]) -> NDArray[Any]:
    """One row of blocks [8, W, C] as their means [1, W / 8, C]."""
    means = cv2.resize(band, (band.shape[1] // SHARE, 1), interpolation=cv2.INTER_AREA)
    return means.reshape(1, -1, band.shape[2])


def _check_pixels(output: BinaryIO, composed: NDArray[Any], lossless: bool, name: str) -> None:
    most = composed.shape[0] * composed.shape[1]
    if lossless:
        top = 0
        for part in decode_parts(output, name, most):
            _expect(_equal(part, composed[top : top + len(part)]), name)
            top += len(part)
        _check_size((top, composed.shape[1]), composed, name)
        return
    step = max(1, composed.shape[0] // _LINES)
    seen = decode(output, name, most).pixels
    _check_alike(seen[::step], composed[::step], name)


def _expect(same: bool, name: str) -> None:
    if not same:
        raise OutputWrong(path=name, cause="it decodes to other pixels")


def _check_size(size: tuple[int, ...], composed: NDArray[Any], name: str) -> None:
    if size != composed.shape[:2]:
        raise OutputWrong(path=name, cause=f"its size became {size[1]}x{size[0]}")


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether all pixels are the same, without a temporary as large as the photo."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    rows = max(1, _PART // one[0].nbytes)
    tops = range(0, one.shape[0], rows)
    return all(np.array_equal(one[top : top + rows], other[top : top + rows]) for top in tops)


def _check_alike(seen: NDArray[Any], composed: NDArray[Any], name: str) -> None:
    if mean_difference(seen, composed) > _LOSSY_MEAN:
        raise OutputWrong(path=name, cause="it decodes to a very different picture")


def mean_difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Mean absolute difference of two pictures of one size, as a share of the full range."""
    first, second = _comparable(one), _comparable(other)
    if first.shape[2] != second.shape[2]:
        # A format that knows no gray made it RGB.
        first, second = (np.broadcast_to(p, (*p.shape[:2], 3)) for p in (first, second))
    difference = cv2.mean(cv2.absdiff(first, second))
    return float(np.mean(difference[: first.shape[2]]) / 255)


def _comparable(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours without alpha, 8 bits a sample."""
    colours = np.ascontiguousarray(pixels[..., : 3 if pixels.shape[-1] >= 3 else 1])
    return colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)
