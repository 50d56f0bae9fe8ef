"""Pure: what all lanes delete together, since what one frees on a disk counts for the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retouchd.config.sections import Retention
from retouchd.config.units import show_size
from retouchd.retention import Decision, Kept, Volume, decide_by_the_disk

_Goal = tuple[int, int]
"""A lane, by its place, and a device: where it wants ``min_free``."""


@dataclass(frozen=True)
class Stock:
    """A lane's finished files, its rules and its disks. missing, moment: as
    ``decide_by_the_disk`` takes them."""

    files: Sequence[Kept]
    rules: Retention
    volumes: Sequence[Volume]
    missing: Callable[[Sequence[Kept]], Iterable[Kept]]
    moment: Mapping[str, Any]


def decide_together(stocks: Sequence[Stock]) -> list[Decision]:
    """What each lane deletes; the first ones give up theirs first.

    Where all that ``min_free`` may take, of all lanes, would not free what it asks for, it takes
    nothing: something else fills the disk, and would only fill what is freed as well.
    """
    short = _hopeless(stocks)
    gone = [dict[int, Kept]() for _ in stocks]
    missed: dict[_Goal, str] | None = None
    while missed is None or missed:
        short |= missed or {}
        decisions, missed = _round(stocks, short)
        for found, decision in zip(gone, decisions, strict=True):
            found |= {file.file_id: file for file in decision.gone}
    return [
        replace(
            decision,
            gone=tuple(gone[place].values()),
            short=()
            if decision.braked
            else tuple(why for goal, why in short.items() if goal[0] == place),
        )
        for place, decision in enumerate(decisions)
    ]


def _hopeless(stocks: Sequence[Stock]) -> dict[_Goal, str]:
    """The goals that all files that the ledger knows don't reach, so that nobody has to look
    whether they are there."""
    known = Counter[int]()
    for stock in stocks:
        for volume in stock.volumes:
            known[volume.device] += sum(f.size for f in stock.files if f.role in volume.roles)
    everyone = [Decision(()) for _ in stocks]
    return _missed(stocks, everyone, known, ())


def _round(
    stocks: Sequence[Stock], without: Collection[_Goal]
) -> tuple[list[Decision], dict[_Goal, str]]:
    """The decisions without these goals, and which others they don't reach, in words."""
    promised, decisions = Counter[int](), list[Decision]()
    for place, stock in enumerate(stocks):
        wanted = [
            replace(volume, free=volume.free + promised[volume.device])
            for volume in stock.volumes
            if (place, volume.device) not in without
        ]
        decision = decide_by_the_disk(
            stock.files, stock.rules, wanted, stock.missing, **stock.moment
        )
        decisions.append(decision)
        for volume in stock.volumes:
            promised[volume.device] += sum(
                dead.file.size for dead in decision.delete if dead.file.role in volume.roles
            )
    return decisions, _missed(stocks, decisions, promised, without)


def _missed(
    stocks: Sequence[Stock],
    decisions: Sequence[Decision],
    freed: Counter[int],
    without: Collection[_Goal],
) -> dict[_Goal, str]:
    return {
        (place, volume.device): _said(stock.rules.min_free, volume, freed[volume.device])
        for place, (stock, decision) in enumerate(zip(stocks, decisions, strict=True))
        for volume in stock.volumes
        if (place, volume.device) not in without
        and not decision.braked
        and stock.rules.min_free is not None
        and volume.free + freed[volume.device] < stock.rules.min_free
    }


def _said(min_free: int | None, volume: Volume, given: int) -> str:
    wanted = min_free or 0
    return (
        f"nothing is deleted for min_free: with all that may go from the disk of "
        f"{', '.join(sorted(volume.roles))} ({show_size(given)}) it would still lack "
        f"{show_size(wanted - volume.free - given)} of {show_size(wanted)}. Something else takes "
        "its space: free some there, or set a lower min_free"
    )
