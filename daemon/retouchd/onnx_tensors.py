"""Pure: pictures → what an ONNX network takes, and what it gives → alphas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retouchd.engine import Pixels
from retouchd.onnx_contract import OnnxContract
from retouchd.samples import Region, Unit, is_hole
from retouchd.scaling import Size, resized

_FLAT = 1 / 512  # what differs by less than a level of 255 is noise, and stretched it is a subject


def batch_of(regions: Sequence[Region], contract: OnnxContract, dtype: DTypeLike) -> NDArray[Any]:
    """Equal-sized pictures as a network's input: [N, 3, H, W] or [N, H, W, 3] of that type.

    regions: pictures [H, W, 3] RGB uint8 or uint16, and where each shows its photo (above 127);
    what is beside the photo has no say in what its largest sample is.
    """
    height, width = regions[0][1].shape
    batch = np.empty((len(regions), 3, height, width), dtype)
    for picture, (pixels, shown) in zip(batch, regions, strict=True):
        factor = _factor(pixels, is_hole(shown), contract)
        for channel in range(3):
            std, mean = contract.std[channel], contract.mean[channel]
            plane = pixels[..., channel] * np.float32(factor / std)
            picture[channel] = plane - np.float32(mean / std)
    if contract.layout == "nhwc":
        return np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
    return batch


def _factor(pixels: Pixels, shown: NDArray[np.bool_], contract: OnnxContract) -> float:
    """What samples are multiplied with, at their own depth."""
    if contract.scale == "max":
        return 1 / max(1, int(pixels[shown].max(initial=0)))
    return contract.scale * 255 / np.iinfo(pixels.dtype).max


def alphas_of(
    output: NDArray[Any], regions: Sequence[Region], contract: OnnxContract
) -> list[Unit]:
    """A network's output as one alpha [H, W, 1] in [0, 1] for each region, of its picture's size.

    output: [N, 1, H, W], [N, H, W, 1], [N, H, W], or [H, W] of one picture, of floats. What is no
    finite number there is NaN in the alpha, for whoever looks at results. Raises ValueError for
    any other shape.
    """
    planes = _planes(output, len(regions))
    return [
        _alpha(plane, is_hole(shown), contract)
        for plane, (_, shown) in zip(planes, regions, strict=True)
    ]


def _planes(output: NDArray[Any], count: int) -> NDArray[Any]:
    """As [N, H, W]."""
    planes = output
    if planes.ndim == 4 and 1 in (planes.shape[1], planes.shape[3]):
        planes = planes[:, 0] if planes.shape[1] == 1 else planes[..., 0]
    elif planes.ndim == 2:
        planes = planes[None]
    if planes.ndim != 3 or planes.shape[0] != count or planes.size == 0:
        raise ValueError(f"an output of the shape {output.shape} is no alpha of {count} pictures")
    return planes


def _alpha(plane: NDArray[Any], shown: NDArray[np.bool_], contract: OnnxContract) -> Unit:
    raw = plane.astype(np.float32)
    raw = np.where(np.isfinite(raw), raw, np.float32(np.nan))
    if contract.activation == "sigmoid":
        raw = 0.5 + 0.5 * np.tanh(0.5 * raw)  # as 1 / (1 + exp(−x)), but without overflow
    size: Size = (shown.shape[0], shown.shape[1])
    alpha = resized(raw, size)
    if contract.stretch:
        alpha = _stretched(alpha, shown)
    unit: Unit = np.clip(alpha, 0, 1).astype(np.float32)[..., None]
    return unit


def _stretched(alpha: Unit, shown: NDArray[np.bool_]) -> Unit:
    """From 0 to 1 over what is shown of the photo; unchanged where it is the same everywhere."""
    seen = alpha[shown] if shown.any() else alpha
    low, high = seen.min(), seen.max()
    stretched: Unit = (alpha - low) / (high - low) if high - low >= _FLAT else alpha
    return stretched
