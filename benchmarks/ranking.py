"""Pure: many figures as a line of a table, and who is better than whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.metrics import Figures

HEADS = ("PSNR", "SSIM", "edges", "texture")
_KEYS = {"PSNR": ("psnr", 2), "SSIM": ("ssim", 3), "edges": ("edges", 3), "texture": ("texture", 3)}
_LESS_IS_BETTER = ("edges", "texture")

Pair = tuple[Sequence[Figures], Sequence[Figures]]  # of the same pictures


def values(figures: Sequence[Figures], head: str) -> list[float]:
    """One figure of all pictures."""
    return [float(getattr(one, _KEYS[head][0])) for one in figures]


def cells(figures: Sequence[Figures]) -> list[str]:
    """Median and, in brackets, mean of each figure."""
    found = []
    for head in HEADS:
        digits = _KEYS[head][1]
        each = values(figures, head)
        found.append(f"{np.median(each):.{digits}f} ({np.mean(each):.{digits}f})")
    return found


def wins(ours: Sequence[Figures], theirs: Sequence[Figures], head: str) -> int:
    """In how many pictures our figure is better; raises ValueError unless they are as many."""
    sign = -1 if head in _LESS_IS_BETTER else 1
    pairs = zip(values(ours, head), values(theirs, head), strict=True)
    return sum(sign * one > sign * other for one, other in pairs)


def tally(ours: Sequence[Figures], theirs: Sequence[Figures]) -> str:
    """For each figure, in how many pictures of how many ours is better."""
    counts = "/".join(str(wins(ours, theirs, head)) for head in HEADS)
    return f"{counts} of {len(ours)}"


def worth_from(by_radius: Mapping[int, Pair]) -> str:
    """For each figure in words: from which radius on ours is better in most pictures."""
    return ", ".join(f"{head} {_words(better_from(by_radius, head))}" for head in HEADS)


def better_from(by_radius: Mapping[int, Pair], head: str) -> int | None:
    """The least radius at which, as at all larger ones, ours is better in over half of the
    pictures; None if it is not even so at the largest."""
    least = None
    for radius in sorted(by_radius, reverse=True):
        ours, theirs = by_radius[radius]
        if 2 * wins(ours, theirs, head) <= len(ours):
            break
        least = radius
    return least


def _words(radius: int | None) -> str:
    return "never" if radius is None else f"from {radius} px on"
