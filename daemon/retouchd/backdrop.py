"""Pure: a photo on a plain backdrop makes its own rough mask.

What a product photo's border shows is backdrop: one colour, lit unevenly. A smooth surface is
fitted to it, channel by channel in CIELAB (D65, CIE 15), robustly (trimmed least squares, Rousseeuw
1984), because the subject may cross the border. What is far from that surface is subject. How
plainly all of that holds is a confidence; on a photo of a garden it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.scaling import Size, unit_colours

Grey = NDArray[np.uint8]
Lab = NDArray[np.float32]  # [H, W, 3]: lightness 0 to 100, a and b about −100 to 100
Flags = NDArray[np.bool_]

_SIDE = 320  # px that a photo is reduced to
_STRIP = 0.03  # of the shorter side
_BIN = 8.0  # of the histogram that finds the commonest colour, in Lab
_NEAR = 20.0  # Lab distance that may be the same backdrop, elsewhere
_SHADOW = 0.5  # weight of lightness in the distance: backdrops have shadows, not other colours
_LEAST, _MOST = 7.0, 14.0  # Lab distances at which the subject can begin
_DARKEST = 30.0  # how much lightness a soft shadow takes
_CALM = 1.2  # Lab per pixel: what changes faster is an edge, not a shadow
_SPECK = 0.002  # of the photo: smaller parts are dust


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What the border says about the rest.

    mask: [H, W] uint8 of the photo's size, 255 subject, 0 backdrop; rough, without soft edges.
    enclosed: [H, W] uint8, 255 where the backdrop's colours lie within the subject and are taken
        for part of it: a label of the same white, or a hole that it is seen through.
    confidence: 0 to 1; under a half the photo is not on a plain backdrop.
    colour: of the backdrop, RGB in [0, 1], at the border on average.
    """

    mask: Grey
    enclosed: Grey
    confidence: float
    colour: tuple[float, float, float]


def find(pixels: Pixels) -> Backdrop:
    """Subject and backdrop of a photo [H, W, C] uint8 or uint16."""
    size = _small(pixels.shape)
    image = unit_colours(pixels, size)
    lab = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.float32)
    strip = _strip(size)
    surface = _fitted(lab, strip)
    begins = _threshold(surface)
    shaded = _shaded(surface, begins)
    plain = (surface.distance < begins) | shaded
    subject = _subject(surface.distance, plain, begins)
    confidence = _confidence(surface, subject, strip, begins)
    mask, enclosed = (_wide(flags, pixels.shape) for flags in (subject, subject & plain))
    red, green, blue = (float(value) for value in image[strip & surface.inside].mean(axis=0))
    return Backdrop(mask, enclosed, confidence, (red, green, blue))


@dataclass(frozen=True, eq=False)
class _Surface:
    """The backdrop's colour everywhere, as far as the border tells.

    difference: [h, w, 3] in Lab, of each pixel from it, lit alike. distance: [h, w], its length.
    inside: [h, w], which pixels of the border it explains.
    noise: the usual distance of those.
    """

    difference: Lab
    distance: NDArray[np.float32]
    inside: Flags
    noise: float


def _small(shape: tuple[int, ...]) -> Size:
    scale = min(1.0, _SIDE / max(shape[:2]))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _wide(flags: Flags, shape: tuple[int, ...]) -> Grey:
    wide = cv2.resize(flags.astype(np.uint8) * 255, shape[1::-1])
    return np.multiply(wide > 127, 255, dtype=np.uint8)


def _strip(size: Size) -> Flags:
    width = max(1, round(_STRIP * min(size)))
    strip = np.ones(size, np.bool_)
    strip[width : size[0] - width, width : size[1] - width] = False
    return strip


def _fitted(lab: Lab, strip: Flags) -> _Surface:
    """A plane first, then a bent surface, each from the border pixels that agree with the last."""
    border, terms = lab[strip], _terms(strip)
    common = _commonest(border)
    border -= common
    inside = _apart(border) < _NEAR
    for count in (1, 3, 3, 3, 6, 6):
        slopes = _slopes(terms[inside, :count], border[inside])
        rest = _apart(border - terms[:, :count] @ slopes)
        noise = 1.4826 * float(np.median(rest[rest < _NEAR])) if (rest < _NEAR).any() else _NEAR
        inside = rest <= max(3 * noise, 3.0)
        if not inside.any():
            inside = rest <= rest.min()
    difference = _difference(lab, common + _bent(slopes, strip.shape))
    explained = np.zeros(strip.shape, np.bool_)
    explained[strip] = inside
    return _Surface(difference, _apart(difference), explained, noise)


def _slopes(terms: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least squares [terms, 3]."""
    # A ridge, so that a side that only the subject has can't bend it at will.
    ridge = np.diag([1e-9] + [1e-3] * (terms.shape[1] - 1))
    square, right = terms.T @ terms / len(terms) + ridge, terms.T @ wanted / len(terms)
    return np.linalg.solve(square, right).astype(np.float32)


def _difference(lab: Lab, backdrop: Lab) -> Lab:
    """What a pixel differs by from the backdrop in as much light as the pixel has."""
    difference = lab - backdrop
    # Less light scales a and b by what it scales L + 16 by: all three are cube roots.
    dimmed = ((lab[..., :1] + 16) / (backdrop[..., :1] + 16)).clip(0.5, 1.2) - 1
    difference[..., 1:] -= backdrop[..., 1:] * dimmed
    return difference


def _axes(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """y [h] and x [w], each about 0 in the middle and at most 1."""
    y, x = (np.linspace(-1, 1, length, dtype=np.float32) for length in shape[:2])
    return y, x


def _terms(where: Flags) -> NDArray[np.float32]:
    """1, x, y, x², y², xy of some pixels [n, 6]."""
    y, x = (axis[places] for axis, places in zip(_axes(where.shape), where.nonzero(), strict=True))
    return np.stack([np.ones_like(x), x, y, x**2, y**2, x * y], axis=-1)


def _bent(slopes: NDArray[np.float32], shape: tuple[int, ...]) -> Lab:
    """The surface [h, w, 3] that six slopes for each channel make."""
    y, x = (axis[:, None] for axis in _axes(shape))
    level, across, down, across2, down2, both = slopes
    along = level + across * x + across2 * x**2
    surface: Lab = y[:, None] * (both * x)
    surface += along
    surface += (down * y + down2 * y**2)[:, None]
    return surface


def _apart(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = np.array([_SHADOW**2, 1, 1], np.float32)
    # A product is several times as fast as a sum over three.
    return np.asarray(np.sqrt(np.square(difference) @ weights), np.float32)


def _commonest(border: NDArray[np.float32]) -> NDArray[np.float32]:
    """The colour [3] that most of the border has: the median around the fullest cell."""
    cells = np.floor(border / _BIN).astype(np.int64)
    cells -= cells.min(axis=0)
    counts = np.zeros(cells.max(axis=0) + 1, np.int64)
    np.add.at(counts, tuple(cells.T), 1)
    # A gradient spreads over cells that a plainer subject would have one of; so neighbours count.
    votes = sliding_window_view(np.pad(counts, 1), (3, 3, 3)).sum(axis=(3, 4, 5))
    fullest = np.unravel_index(np.argmax(votes * (counts > 0)), counts.shape)
    near = (np.abs(cells - fullest) <= 1).all(axis=1)
    return np.asarray(np.median(border[near], axis=0), np.float32)


def _threshold(surface: _Surface) -> float:
    return min(_MOST, max(_LEAST, 4 * surface.noise))


def _shaded(surface: _Surface, begins: float) -> Flags:
    """Where the backdrop may lie in a soft shadow: its hue, somewhat darker, and no edge near."""
    light, a, b = (surface.difference[..., i] for i in range(3))
    alike = (np.hypot(a, b) < 0.6 * begins) & (light > -_DARKEST) & (light < begins)
    steps = [cv2.Scharr(surface.difference, cv2.CV_32F, *way) / 32 for way in ((1, 0), (0, 1))]
    change = np.sqrt((np.square(steps[0]) + np.square(steps[1])) @ np.ones(3, np.float32))
    edge = (change > max(_CALM, surface.noise)).astype(np.uint8)
    calm: Flags = cv2.dilate(edge, np.ones((3, 3), np.uint8)) == 0
    return alike & calm


def _subject(distance: NDArray[np.float32], plain: Flags, begins: float) -> Flags:
    """What is far from the backdrop, or enclosed by that and not plainly backdrop itself.

    plain: where the photo looks like the backdrop.
    """
    count, labels = cv2.connectedComponents(plain.astype(np.uint8), connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    open_ = np.zeros(count, np.bool_)
    open_[edge] = True
    sizes = np.bincount(labels.ravel(), minlength=count)
    sums = np.bincount(labels.ravel(), weights=distance.ravel(), minlength=count)
    means = sums / np.maximum(sizes, 1)
    # A hole of a handle shows the backdrop; a white shirt is hardly ever as even.
    open_ |= (means < begins / 3) & (sizes > _SPECK * distance.size)
    open_[0] = False
    return _without_specks(~open_[labels])


def _without_specks(subject: Flags) -> Flags:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(subject.astype(np.uint8))
    kept = stats[:, cv2.CC_STAT_AREA] >= _SPECK * subject.size
    kept[0] = False
    without: Flags = kept[labels]
    return without


def _confidence(surface: _Surface, subject: Flags, strip: Flags, begins: float) -> float:
    """How plainly there is a backdrop and something before it: a product of what must all hold."""
    free = strip & ~subject
    covered = float(subject.mean())
    unclear = (surface.distance > 0.6 * begins) & (surface.distance < 1.5 * begins)
    behind = float(surface.distance[~subject].mean()) if covered < 1 else _MOST
    return (
        _ramp(float(free.sum() / strip.sum()), 0.35, 0.6)
        * _ramp(float(surface.inside[free].mean()) if free.any() else 0.0, 0.6, 0.9)
        * _ramp(surface.noise, 6.0, 2.5)
        * _ramp(behind, 7.0, 3.5)
        * _ramp(covered, 0.001, 0.01)
        * _ramp(covered, 0.95, 0.85)
        * _ramp(float(unclear.sum() / max(1, subject.sum())), 0.8, 0.3)
        * _ramp(_parts(subject), 12.0, 5.0)
        * (0.4 + 0.6 * _ramp(_crossing(subject), 0.12, 0.02))
    )


def _parts(subject: Flags) -> float:
    """How many parts of equal size would be as uneven as the subject's."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(subject.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
    return float(areas.sum() ** 2 / (areas**2).sum()) if len(areas) else 0.0


def _crossing(subject: Flags) -> float:
    """How much of two opposite sides, or of one whole one, it has: a floor or a horizon does."""
    top, bottom, left, right = (
        float(side.mean()) for side in (subject[0], subject[-1], subject[:, 0], subject[:, -1])
    )
    whole = max(top, bottom, left, right) - 0.85
    return max(min(top, bottom), min(left, right), whole)


def _ramp(value: float, zero: float, one: float) -> float:
    """0 at and beyond ``zero``, 1 at and beyond ``one``, straight between."""
    return min(1.0, max(0.0, (value - zero) / (one - zero)))
