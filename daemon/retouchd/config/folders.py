"""Pure: whether the lanes' folders keep out of each other's way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

Where = tuple[str, str, Path]


def check_apart(lanes: Mapping[str, Mapping[str, Path]]) -> None:
    """Raise ValueError where one folder is, or lies in, another.

    lanes: lane name → role → folder. An inbox may lie in another lane's inbox (the outer lane
    leaves it alone), and lanes may share an outbox, an archive or a quarantine of the same role.
    """
    places: list[Where] = [
        (lane, role, Path(os.path.normpath(folder)))
        for lane, folders in lanes.items()
        for role, folder in folders.items()
    ]
    for one, other in combinations(places, 2):
        _check_pair(one, other)


def check_outside(key: str, folder: Path, lanes: Mapping[str, Mapping[str, Path]]) -> None:
    """Raise ValueError where ``folder`` (of the setting ``key``) is, or lies in, a lane's folder:
    there it would be taken for drops, moved away or pruned."""
    inner = Path(os.path.normpath(folder))
    for lane, folders in lanes.items():
        for role, outer in folders.items():
            if Path(os.path.normpath(outer)) in (inner, *inner.parents):
                place = f"{role} of lane {lane!r} ({outer})"
                raise ValueError(f"{key} ({inner}) lies inside {place}; put it elsewhere")


def _check_pair(one: Where, other: Where) -> None:
    (lane_a, role_a, a), (lane_b, role_b, b) = one, other
    if a == b:
        if role_a == role_b != "inbox":
            return
        raise ValueError(
            f"{role_a} of lane {lane_a!r} and {role_b} of lane {lane_b!r} are the same folder {a}; "
            "give each its own"
        )
    nested = a in b.parents or b in a.parents
    if nested and not role_a == role_b == "inbox":
        (inner, outer) = (one, other) if b in a.parents else (other, one)
        raise ValueError(
            f"{inner[1]} of lane {inner[0]!r} ({inner[2]}) lies inside {outer[1]} of lane "
            f"{outer[0]!r} ({outer[2]}); put them beside each other"
        )
