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
from retouchd.painter import Beat, Finish, Painter
from retouchd.samples import Region, Unit


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


@dataclass(frozen=True, eq=False)
class Begun:
    """Regions whose first attempt was started.

    result: what waits for it, or what went wrong at the start already; None for out of memory.
    """

    painter: Painter
    regions: Sequence[Region]
    result: Finish | Exception | None


def begin(painter: Painter, regions: Sequence[Region]) -> Begun:
    """Start to paint equal-sized regions; what goes wrong is for whoever finishes it.

    An exception's frames hold the tensors of the attempt, so they are let go before the next one.
    """
    try:
        return Begun(painter, regions, painter.start(regions))
    except (OutOfMemory, MemoryError):
        return Begun(painter, regions, None)
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        return Begun(painter, regions, error)


def finish_soundly(begun: Begun, beat: Beat) -> list[Outcome]:
    """``climb``, and every result is looked at; see ``Painted``."""
    outcomes = climb(begun, beat)
    return [
        _made_sound(begun.painter, region, outcome, beat)
        for region, outcome in zip(begun.regions, outcomes, strict=True)
    ]


def _made_sound(painter: Painter, region: Region, outcome: Outcome, beat: Beat) -> Outcome:
    if isinstance(outcome, Exception) or not (trouble := painter.doubt(outcome.image, region)):
        return outcome
    exact = painter.exact()
    if exact is None:
        return replace(outcome, trouble=trouble)
    (again,) = climb(begin(exact, [region]), beat)
    if isinstance(again, Exception):
        return again
    persists = painter.doubt(again.image, region)
    return replace(
        again,
        repainted=trouble,
        trouble=f"{persists}, in float32 as well" if persists else None,
    )


def climb(begun: Begun, beat: Beat) -> list[Outcome]:
    """Paint by every means; one outcome per region, in order.

    An outcome that is an exception is OutOfMemory, after every step failed, or the model's own.
    """
    beat()
    painter, regions = begun.painter, begun.regions
    result = _finished(begun, None)
    if result is None:
        return _descend(painter, regions, "empty_cache", beat)
    if isinstance(result, Exception) and len(regions) > 1:
        alone = [[region] for region in regions]
        return [outcome for one in alone for outcome in climb(begin(painter, one), beat)]
    return _outcomes(result)


def _descend(painter: Painter, regions: Sequence[Region], step: str, beat: Beat) -> list[Outcome]:
    """Memory ran out with these regions: free some, then try with less."""
    beat()
    gc.collect()
    painter.relieve()
    result = _finished(begin(painter, regions), step)
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
    result = _finished(begin(other, regions), "cpu") if other else None
    return [too_little] if result is None else _outcomes(result)


def _finished(begun: Begun, step: str | None) -> list[Painted] | Exception | None:
    """The regions painted, or what went wrong; None for out of memory."""
    if begun.result is None or isinstance(begun.result, Exception):
        return begun.result
    try:
        images = begun.result()
    except (OutOfMemory, MemoryError):
        return None
    except Exception as error:
        traceback.clear_frames(error.__traceback__)
        return error
    facts = begun.painter.facts
    return [Painted(image, step, facts, len(begun.regions)) for image in images]


def _outcomes(result: list[Painted] | Exception) -> list[Outcome]:
    return [result] if isinstance(result, Exception) else list(result)
