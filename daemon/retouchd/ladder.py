"""What to try when a batch fails: the steps of the out-of-memory ladder, and isolation.

Out of memory: empty the cache, halve the batch down to single regions, fall back to the CPU. Any
other failure of a batch is tried region by region, so that one bad region fails alone. A result
that can't be right is painted again in float32.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retouchd.errors import OutOfMemory
from retouchd.painter import Beat, Painter
from retouchd.samples import Region, Unit
from retouchd.sanity import trouble_with


@dataclass(frozen=True, eq=False)
class Painted:
    """One region's result.

    step: the ladder's step that worked, None if the first attempt did. facts: the painter's.
    batch: how many regions were painted at once. repainted: what was wrong with a first result
    in bfloat16, in whose place this one came. trouble: what is wrong with this one.
    """

    image: Unit
    step: str | None
    facts: Mapping[str, Any]
    batch: int
    repainted: str | None = None
    trouble: str | None = None


Outcome = Painted | Exception


def paint_soundly(painter: Painter, regions: Sequence[Region], beat: Beat) -> list[Outcome]:
    """``climb``, and every result is looked at; see ``Painted``."""
    outcomes = climb(painter, regions, beat)
    return [
        _made_sound(painter, region, outcome, beat)
        for region, outcome in zip(regions, outcomes, strict=True)
    ]


def _made_sound(painter: Painter, region: Region, outcome: Outcome, beat: Beat) -> Outcome:
    if isinstance(outcome, Exception) or not (trouble := trouble_with(outcome.image, *region)):
        return outcome
    exact = painter.exact()
    if exact is None:
        return replace(outcome, trouble=trouble)
    (again,) = climb(exact, [region], beat)
    if isinstance(again, Exception):
        return again
    persists = trouble_with(again.image, *region)
    return replace(
        again,
        repainted=trouble,
        trouble=f"{persists}, in float32 as well" if persists else None,
    )


def climb(painter: Painter, regions: Sequence[Region], beat: Beat) -> list[Outcome]:
    """Paint equal-sized regions by every means; one outcome per region, in order.

    An outcome that is an exception is OutOfMemory, after every step failed, or the model's own.
    """
    beat()
    result = _attempt(painter, regions, None)
    if result is None:
        return _descend(painter, regions, "empty_cache", beat)
    if isinstance(result, Exception) and len(regions) > 1:
        return [outcome for region in regions for outcome in climb(painter, [region], beat)]
    return _outcomes(result)


def _descend(painter: Painter, regions: Sequence[Region], step: str, beat: Beat) -> list[Outcome]:
    """Memory ran out with these regions: free some, then try with less."""
    beat()
    gc.collect()
    painter.relieve()
    result = _attempt(painter, regions, step)
    if result is None:
        painter.overran(len(regions), regions[0][1].shape)
    if len(regions) == 1:
        return _last_resort(painter, regions, beat) if result is None else _outcomes(result)
    if isinstance(result, list):
        return _outcomes(result)
    half = (len(regions) + 1) // 2
    parts = (regions[:half], regions[half:])
    return [
        outcome
        for part in parts
        for outcome in _descend(painter, part, "single" if len(part) == 1 else "halve_batch", beat)
    ]


def _last_resort(painter: Painter, regions: Sequence[Region], beat: Beat) -> list[Outcome]:
    beat()
    height, width = regions[0][1].shape
    too_little = OutOfMemory(what=f"a region of {width}×{height} pixels, by every fallback")
    try:
        other = painter.fallback()
    except (MemoryError, OutOfMemory, RuntimeError):
        return [too_little]
    result = _attempt(other, regions, "cpu") if other else None
    return [too_little] if result is None else _outcomes(result)


def _attempt(
    painter: Painter, regions: Sequence[Region], step: str | None
) -> list[Painted] | Exception | None:
    """The regions painted, or what went wrong; None for out of memory.

    An exception's frames hold the tensors of the attempt, so they are let go before the next one.
    """
    try:
        images = painter.paint(regions)
    except (OutOfMemory, MemoryError):
        return None
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        return error
    return [Painted(image, step, painter.facts, len(regions)) for image in images]


def _outcomes(result: list[Painted] | Exception) -> list[Outcome]:
    return [result] if isinstance(result, Exception) else list(result)
