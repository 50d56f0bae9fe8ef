"""Pure: the grain of a photo around a hole, and as much of it as a fill lacks.

Grain is what calm blocks of known pixels hold beyond a plane: its power at each frequency and how
much of it the channels share (the averaged periodogram of Welch, 1967, as a matrix of channels).
What the fill has of its own is measured in the same way; only the rest is added, as noise that is
white before a filter gives it the missing power. Nothing here is random twice: the same photo
with the same hole gets the same noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.box import Box
from retouchd.engine import Pixels
from retouchd.samples import to_unit

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Grey = NDArray[np.uint8]
Paint = Callable[[Box], Floats]

_BLOCK = 16  # px; blocks that are looked at
_REACH = 96  # px around the hole
_MOST = 1024  # blocks
_LEAST = 12
_GROUP = 48  # blocks that are enough for a level of brightness of its own
_CALM = 2.5  # a block this much livelier than a calm one shows something
_UNEVEN = 3.0  # grain does not depend more on brightness than this, in power
_SEEN = (0.35 / 255) ** 2  # less power is not seen
_STRONG = (10 / 255) ** 2  # more is not grain
_STRONG_COARSE = (4 / 255) ** 2  # nor is more than this, of that shape:
_COARSE = 4.0  # power at the lowest frequency over that at three times it
_STEEP = 2.5  # power at the lowest frequency over the next: more is the picture's, not the grain's
_TILE = 128  # px; white noise is drawn in tiles, so that any part of it can be had alone


@dataclass(frozen=True)
class Light:
    """Power over brightness, relative to the mean power.

    It is 1 at ``middle`` and rises by ``slope`` per unit; beyond ``darkest`` and ``brightest``,
    which is what was seen, it stays as it is there.
    """

    middle: float
    slope: float
    darkest: float
    brightest: float

    def strength(self, bright: Floats) -> Floats:
        """What to multiply grain with where the photo is so bright, in [0, 1]."""
        power = 1 + self.slope * (np.clip(bright, self.darkest, self.brightest) - self.middle)
        strength: Floats = np.sqrt(np.clip(power, 1 / _UNEVEN, _UNEVEN), dtype=np.float32)
        return strength


@dataclass(frozen=True, eq=False)
class Grain:
    """What a fill lacks.

    kernels: [16, 16, C, C] float32, filters from white noise to grain in units of [0, 1], from
    the last axis to the third. light: how their power changes with brightness. seed: of the white
    noise.
    """

    kernels: Floats
    light: Light
    seed: int

    def noise(self, part: Box, fill: Floats) -> Floats:
        """What to add [h, w, C] to a part of the photo, whose fill [h, w, C] is as bright as that.

        Depends on the part's place, not on its size: parts fit together.
        """
        half = _BLOCK // 2
        grown = Box(part.top - half, part.left - half, part.height + _BLOCK, part.width + _BLOCK)
        white = _white(self.seed, grown, self.kernels.shape[-1])
        planes = [np.ascontiguousarray(white[..., i]) for i in range(white.shape[2])]
        inner = (slice(half, half + part.height), slice(half, half + part.width))
        grain = np.empty((part.height, part.width, len(planes)), np.float32)
        for i in range(len(planes)):
            kernels = self.kernels[..., i, :]
            grain[..., i] = sum(
                cv2.filter2D(plane, cv2.CV_32F, np.ascontiguousarray(kernels[..., j]))[inner]
                for j, plane in enumerate(planes)
            )
        return grain * self.light.strength(fill.mean(axis=2))[..., None]


def missing(pixels: Pixels, hole: Grey, core: Box, paint: Paint) -> Grain | None:
    """The grain that the fill of a hole lacks; None if none is missing, or too little is seen.

    pixels: the photo's colours [H, W, C] uint8 or uint16. hole: [H, W] uint8 0/255. core: where
    the hole is looked at. paint: gives the fill of a part of the core, [h, w, C] float32.

    A hole without a single block of 16×16 pixels gets none: such a thin fill takes over the
    grain of its border.
    """
    around = core.grown(_REACH, Box(0, 0, *hole.shape))
    places = _places(hole[around.slices] == 0, around, _BLOCK)
    inside = _places(hole[core.slices] > 0, core, _BLOCK // 4)
    if len(places) < _LEAST or not inside:
        return None
    known: NDArray[Any] = np.stack([pixels[place.slices] for place in places])
    known = known[_unclipped(known)]
    if len(known) < _LEAST:
        return None
    there, calm = _power(to_unit(known))
    if not _is_grain(there):
        return None
    # both will be rounded once, but only the photo has been
    rounding = 1 / 12 / np.iinfo(pixels.dtype).max ** 2
    own, _ = _power(np.stack([paint(place) for place in inside]))
    lack = _positive(there - own - rounding * np.eye(pixels.shape[2]))
    if _strength(lack).mean() < _SEEN:
        return None
    return Grain(_kernels(lack), _light(calm), crc32(known.tobytes()))


def _places(usable: NDArray[np.bool_], box: Box, step: int) -> list[Box]:
    """Blocks that are usable throughout, evenly chosen if they are many; place in the photo."""
    whole = np.ones((_BLOCK, _BLOCK), np.uint8)
    padded = np.pad(usable.astype(np.uint8), ((0, _BLOCK), (0, _BLOCK)))
    fits = cv2.erode(padded, whole, anchor=(0, 0))[: box.height : step, : box.width : step]
    found = np.argwhere(fits)
    if len(found) > _MOST:
        found = found[np.linspace(0, len(found) - 1, _MOST).astype(np.int64)]
    return [Box(box.top + y * step, box.left + x * step, _BLOCK, _BLOCK) for y, x in found.tolist()]


def _unclipped(blocks: NDArray[Any]) -> NDArray[np.bool_]:
    """Blocks [N] without more than a few samples at black or white, where grain is cut off."""
    clipped = (blocks == 0) | (blocks == np.iinfo(blocks.dtype).max)
    return np.asarray(clipped.mean(axis=(1, 2, 3)) < 0.01)


@dataclass(frozen=True, eq=False)
class _Calm:
    """The calm blocks: how bright [N], and how lively [N]."""

    bright: Floats
    lively: Floats


def _power(blocks: Floats) -> tuple[Doubles, _Calm]:
    """The calm blocks' mean power [16, 16, C, C] by frequency, and how lively each of them is."""
    spectra, share = _spectra(blocks)
    lively = np.square(np.abs(spectra)).mean(axis=(1, 2, 3))
    bright = blocks.mean(axis=(1, 2, 3))
    calm = _calm(bright, lively)
    chosen = spectra[calm]
    power = np.einsum("nyxi,nyxj->yxij", chosen, chosen.conj()).real / len(chosen)
    return _smooth_at_zero(power / share[..., None, None]), _Calm(bright[calm], lively[calm])


def _spectra(blocks: Floats) -> tuple[NDArray[np.complex64], Doubles]:
    """Windowed spectra [N, 16, 16, C] without a plane, and the part of white noise in them.

    White noise of variance 1 has a mean power of that part, which is 1 but near frequency 0.
    """
    ramp = np.hanning(_BLOCK + 2)[1:-1]
    window = np.outer(ramp, ramp).ravel()
    window /= np.sqrt(np.square(window).sum())
    y, x = np.indices((_BLOCK, _BLOCK)).reshape(2, -1)
    flat, _ = np.linalg.qr(window[:, None] * np.stack([np.ones(_BLOCK**2), y, x], axis=1))
    rest = np.eye(_BLOCK**2) - flat @ flat.T
    operator = (rest * window).astype(np.float32)
    shaped = operator.T.reshape(_BLOCK**2, _BLOCK, _BLOCK)
    share = np.square(np.abs(np.fft.fft2(shaped))).sum(axis=0)
    samples = blocks.reshape(len(blocks), _BLOCK**2, -1)
    even = np.einsum("pq,nqc->npc", operator, samples, optimize=True)
    spectra = np.fft.fft2(even.reshape(blocks.shape), axes=(1, 2))
    return spectra.astype(np.complex64), np.maximum(share, 0.1)


def _calm(bright: Floats, lively: Floats) -> NDArray[np.int64]:
    """The indices of calm blocks, at each brightness of its own; lively groups are left out."""
    order = np.argsort(bright, kind="stable")
    groups = np.array_split(order, min(max(len(order) // _GROUP, 1), 4))
    chosen = [g[lively[g] <= _CALM * np.quantile(lively[g], 0.25)] for g in groups]
    means = [float(lively[g].mean()) for g in chosen]
    return np.concatenate(
        [g for g, mean in zip(chosen, means, strict=True) if mean <= _UNEVEN * min(means)]
    )


def _light(calm: _Calm) -> Light:
    """A line through the blocks' power, held level as far as they scatter."""
    middle = float(calm.bright.mean())
    apart = calm.bright - middle
    relative = calm.lively / calm.lively.mean() - 1
    # a slope of a few units is what photon noise has, so that much is believed beforehand
    doubt = relative.var() / (4 * len(relative)) + 1e-9
    slope = float((apart * relative).mean() / (np.square(apart).mean() + doubt))
    return Light(middle, slope, float(calm.bright.min()), float(calm.bright.max()))


def _smooth_at_zero(power: Doubles) -> Doubles:
    """Frequency 0, which the plane took, like its neighbours; and these not far above the next."""
    ring = _rings()
    low = ring == 1
    most = _STEEP * _strength(power[ring == 2]).mean()
    power[low] *= np.minimum(1, most / np.maximum(_strength(power[low]), 1e-12))[:, None, None]
    power[ring == 0] = power[low].mean(axis=0)
    return power


def _is_grain(power: Doubles) -> bool:
    """Whether what calm blocks show may be grain: where all is lively, they show the picture."""
    ring, strength = _rings(), _strength(power)
    coarse = strength[ring == 1].mean() > _COARSE * strength[ring == 3].mean()
    return bool(strength.mean() < (_STRONG_COARSE if coarse else _STRONG))


def _rings() -> NDArray[np.int64]:
    """The larger of the two frequencies [16, 16], 0 to 8 per block."""
    along = np.minimum(np.arange(_BLOCK), _BLOCK - np.arange(_BLOCK))
    return np.maximum(along[:, None], along[None])


def _strength(power: Doubles) -> Doubles:
    """Power as the mean of the channels."""
    total: Doubles = np.trace(power, axis1=-2, axis2=-1) / power.shape[-1]
    return total


def _positive(power: Doubles) -> Doubles:
    """The nearest matrices that noise can have."""
    values, vectors = np.linalg.eigh(power)
    return _composed(np.maximum(values, 0), vectors)


def _kernels(power: Doubles) -> Floats:
    """The filters [16, 16, C, C] that give white noise that power; the origin in the middle."""
    values, vectors = np.linalg.eigh(power)
    root = _composed(np.sqrt(np.maximum(values, 0)), vectors)
    kernels = np.fft.ifft2(root, axes=(0, 1)).real
    return np.fft.fftshift(kernels, axes=(0, 1)).astype(np.float32)


def _composed(values: Doubles, vectors: Doubles) -> Doubles:
    matrices: Doubles = (vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    return matrices


def _white(seed: int, part: Box, channels: int) -> Floats:
    """White noise [h, w, channels] of variance 1 for a part of an endless plane."""
    noise = np.empty((part.height, part.width, channels), np.float32)
    bottom, right = part.top + part.height, part.left + part.width
    for y in range(part.top // _TILE, -(-bottom // _TILE)):
        for x in range(part.left // _TILE, -(-right // _TILE)):
            random = np.random.default_rng((seed, y + 1, x + 1))
            tile = random.standard_normal((_TILE, _TILE, channels), np.float32)
            top, left = y * _TILE, x * _TILE
            rows = slice(max(part.top, top), min(bottom, top + _TILE))
            columns = slice(max(part.left, left), min(right, left + _TILE))
            here = _moved(rows, part.top), _moved(columns, part.left)
            noise[here] = tile[_moved(rows, top), _moved(columns, left)]
    return noise


def _moved(span: slice, by: int) -> slice:
    return slice(span.start - by, span.stop - by)
