"""Pure: how far a cut-out can be trusted unseen, from its alpha and its photo.

Nobody looks at ten thousand cut-outs; somebody can look at the two hundred that are odd. The
confidence sorts them, the reasons say in words what is odd.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.engine import Pixels
from retouchd.outline import blind_share
from retouchd.scaling import sampled, unit

Alpha = NDArray[np.float32]  # [H, W] in [0, 1]
Grey = NDArray[np.uint8]

_SIDE = 512  # px that an alpha is reduced to
_SURE = 0.05  # alphas as near to 0 or 1 are decided
_SPECK = 0.02  # of the subject: smaller parts are crumbs
_DUST = 4  # px: less is no crumb


@dataclass(frozen=True)
class Verdict:
    """How far a cut-out can be trusted.

    confidence: 0 to 1; under a half a person should look at it.
    reasons: what is odd, worst first, in words for a person; empty if nothing is.
    """

    confidence: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Doubt:
    """One thing that is odd: what the confidence is multiplied by, and why."""

    factor: float
    reason: str


def triage(alpha: Alpha | Grey, photo: Pixels | None = None) -> Verdict:
    """The verdict on an alpha [H, W]; its photo's border counts as a border.

    alpha: float32 in [0, 1], or uint8. photo: [H, W, C] uint8 or uint16; without it nobody asks
    whether the edge runs where there is one.
    """
    scale = min(1.0, _SIDE / max(alpha.shape))
    size = (max(1, round(alpha.shape[0] * scale)), max(1, round(alpha.shape[1] * scale)))
    small = unit(sampled(alpha, size))
    covered = float(small.mean())
    if covered < 0.002:
        return Verdict(0.0, ("no subject was found: the cut-out is empty",))
    if covered > 0.995:
        return Verdict(0.0, ("nothing was cut out: all of the photo counts as subject",))
    found = [*_doubts(small, covered), *([] if photo is None else [_about_edge(photo, alpha)])]
    doubts = sorted(found, key=lambda doubt: doubt.factor)
    confidence = float(np.prod([doubt.factor for doubt in doubts]))
    return Verdict(confidence, tuple(doubt.reason for doubt in doubts if doubt.factor < 0.95))


def _doubts(alpha: Alpha, covered: float) -> Iterator[_Doubt]:
    yield from _about_size(covered)
    yield from _about_softness(alpha)
    yield from _about_parts(alpha)
    yield from _about_borders(alpha)


def _about_size(covered: float) -> Iterator[_Doubt]:
    share = f"{covered:.1%}" if covered < 0.1 else f"{covered:.0%}"
    yield _Doubt(_ramp(covered, 0.0, 0.01), f"the subject is tiny: {share} of the photo")
    yield _Doubt(_ramp(covered, 1.0, 0.92), f"the subject fills {share} of the photo")


def _about_softness(alpha: Alpha) -> Iterator[_Doubt]:
    soft = (alpha > _SURE) & (alpha < 1 - _SURE)
    share = float(soft.sum() / max(1, (alpha > _SURE).sum()))
    # An edge has width, so small and thin subjects have much of it: only what is deeper counts.
    edge = cv2.dilate((alpha > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=3)
    core = cv2.erode((alpha > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=3)
    deep = soft & ((edge == 0) | (core > 0))
    veil = float(deep.sum() / max(1, (alpha > _SURE).sum()))
    yield _Doubt(
        min(_ramp(veil, 0.25, 0.04), _ramp(share, 0.9, 0.4)),
        f"{max(veil, share):.0%} of the subject is half transparent: its edge is not clear",
    )


def _about_parts(alpha: Alpha) -> Iterator[_Doubt]:
    _, _, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        yield _Doubt(0.1, "no part of the subject is opaque")
        return
    large = int((areas >= max(_DUST, _SPECK * areas.sum())).sum())
    crumbs = int((areas >= _DUST).sum()) - large
    several = 1.0 if large <= 1 else max(0.3, 0.85 - 0.1 * (large - 2))
    yield _Doubt(several, f"the subject has {large} separate parts")
    few = "a crumb lies" if crumbs == 1 else f"{crumbs} crumbs lie"
    yield _Doubt(max(0.4, 0.97 - 0.03 * crumbs) if crumbs else 1.0, f"{few} beside the subject")


def _about_borders(alpha: Alpha) -> Iterator[_Doubt]:
    """A portrait ends at the lower border; what ends at the others is rather cut off."""
    sides = {"top": alpha[0], "left": alpha[:, 0], "right": alpha[:, -1], "bottom": alpha[-1]}
    shares = {name: float((side > 0.5).mean()) for name, side in sides.items()}
    touched = [name for name in ("top", "left", "right") if shares[name] > 0.01]
    if touched:
        where = " and the ".join(touched)
        yield _Doubt(0.85 ** len(touched), f"the subject runs out of the photo at the {where}")
    framed = min(shares.values())
    yield _Doubt(_ramp(framed, 0.6, 0.2), "it is cut off on all sides: is it the background?")


def _about_edge(photo: Pixels, alpha: Alpha | Grey) -> _Doubt:
    """Some stretches are without contrast on any photo; right alphas were seen to have 15 %."""
    blind = blind_share(photo, alpha)
    return _Doubt(
        max(0.2, _ramp(blind, 0.27, 0.07)),
        f"along {blind:.0%} of its edge the subject looks like what is behind it",
    )


def _ramp(value: float, zero: float, one: float) -> float:
    """0 at and beyond ``zero``, 1 at and beyond ``one``, straight between."""
    return min(1.0, max(0.0, (value - zero) / (one - zero)))
