"""Pure: whether the lanes' folders keep out of each other's way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from retouchd.config.written import KeyPath

Folders = Mapping[str, Mapping[str, Path]]
"""Lane name → role → folder, in the lanes' order."""


class Clash(ValueError):
    """Values that are right one by one and don't go together.

    keys: those of the values, the one to be named first; not each of them need be written.
    """

    def __init__(self, cause: str, fix: str, keys: Sequence[KeyPath]) -> None:
        super().__init__(cause)
        self.cause, self.fix, self.keys = cause, fix, tuple(keys)


class _Where(NamedTuple):
    number: int
    lane: str
    role: str
    folder: Path


def check_names(names: Sequence[str]) -> None:
    """Raise Clash where two lanes have one name."""
    for number, name in enumerate(names):
        if name in names[:number]:
            raise Clash(
                f"two lanes are called {name!r}",
                "Give each lane its own name.",
                [("lanes", number, "name")],
            )


def check_apart(lanes: Folders) -> None:
    """Raise Clash where one folder is, or lies in, another.

    An inbox may lie in another lane's inbox (the outer lane leaves it alone), and lanes may share
    an outbox, an archive or a quarantine of the same role.
    """
    for one, other in combinations(_places(lanes), 2):
        _check_pair(one, other)


def check_outside(key: str, folder: Path, lanes: Folders) -> None:
    """Raise Clash where ``folder`` (of the setting ``key``) is, or lies in, a lane's folder: there
    it would be taken for drops, moved away or pruned."""
    inner = Path(os.path.normpath(folder))
    for place in _places(lanes):
        if place.folder in (inner, *inner.parents):
            raise Clash(
                f"{key} ({inner}) lies inside {place.role} of lane {place.lane!r} ({place.folder})",
                "Put it in a folder that is no lane's, like /var/lib/retouchd.",
                [(key,), ("state",), *_keys(place)],
            )


def _places(lanes: Folders) -> Iterator[_Where]:
    for number, (lane, folders) in enumerate(lanes.items()):
        for role, folder in folders.items():
            yield _Where(number, lane, role, Path(os.path.normpath(folder)))


def _keys(*places: _Where) -> list[KeyPath]:
    """A folder that has no key of its own comes from the lane's root."""
    own: list[KeyPath] = [("lanes", place.number, place.role) for place in places]
    return [*own, *(("lanes", place.number, "root") for place in places)]


def _check_pair(one: _Where, other: _Where) -> None:
    if one.folder == other.folder:
        if one.role == other.role != "inbox":
            return
        raise Clash(
            f"{one.role} of lane {one.lane!r} and {other.role} of lane {other.lane!r} are the same "
            f"folder {one.folder}",
            "Give each a folder of its own.",
            _keys(other, one),
        )
    nested = one.folder in other.folder.parents or other.folder in one.folder.parents
    if nested and not one.role == other.role == "inbox":
        inner, outer = (one, other) if other.folder in one.folder.parents else (other, one)
        raise Clash(
            f"{inner.role} of lane {inner.lane!r} ({inner.folder}) lies inside {outer.role} of "
            f"lane {outer.lane!r} ({outer.folder})",
            "Put them beside each other.",
            _keys(other, one),
        )
