"""What retention may delete, worked out from the words of config.example.yaml: a model to hold the
product against, which shares no code with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from helpers.storeroom import CLASSES, Filed

DAY = 86400.0
GIVEN_UP = ("archive", "failed", "review", "outputs")
"""The order in which space is found."""


@dataclass
class Keeping:
    """A lane's rules and files. max_age: days by class, None for ever; max_size: bytes. sizes: by
    file, as it was filed. changed: files that people took away, edited or replaced. seen: the time
    that the lane's retention went by last; newest: the latest of these."""

    files: list[Filed]
    sizes: dict[int, int]
    changed: set[int]
    seen: float
    newest: float
    max_age: dict[str, float | None]
    max_size: dict[str, int | None]
    brake: float = 0.5
    min_free: int | None = None
    braked: bool = field(default=False, init=False)

    def due(self, now: float, free: int, *, force: bool, finding: bool = True) -> set[int]:
        """The files that a prune at ``now`` deletes, with so many bytes free. finding: whether
        enough space can be found at all."""
        old = {file.id for file in self.files if self._old(file, now)}
        self.braked = not force and self._jumped(old, now)
        if self.braked:
            return set()
        there = [file for file in self.files if file.id not in self.changed]
        gone = {file.id for file in there if file.id in old}
        for kind in ("archive", "failed", "outputs"):
            rest = [f for f in there if CLASSES[f.role] == kind and f.id not in gone]
            gone |= self._too_much(rest, self.max_size[kind])
        if self.min_free is not None and finding:
            lacking = self.min_free - free - sum(self.sizes[number] for number in gone)
            gone |= self._found([f for f in there if f.id not in gone], lacking)
        return gone

    def misses(self, free: int) -> bool:
        """Whether so much free space is less than is to be kept."""
        return not self.braked and self.min_free is not None and free < self.min_free

    def _old(self, file: Filed, now: float) -> bool:
        days = self.max_age[CLASSES[file.role]]
        return days is not None and now - file.at > days * DAY

    def _jumped(self, old: set[int], now: float) -> bool:
        """Whether the clock jumped by days and more than the lane's part would go at once."""
        days = (now - self.seen) / DAY
        if days <= 3:
            return False
        roles: list[tuple[str, ...]] = [GIVEN_UP, *((role,) for role in GIVEN_UP)]
        for group in roles:
            # Work goes on while the clock is wrong: what it brings does not count.
            there = [file for file in self.files if file.at <= self.newest]
            all_of_it = {file.id for file in there if file.role in group}
            part = all_of_it & old
            if len(part) > self.brake * len(all_of_it) and (len(part) >= 20 or days > 30):
                return True
        return False

    def _too_much(self, files: list[Filed], limit: int | None) -> set[int]:
        """All but the newest that together are within the limit."""
        if limit is None:
            return set()
        newest = sorted(files, key=_age, reverse=True)
        sums = accumulate(self.sizes[file.id] for file in newest)
        fitting = sum(1 for total in sums if total <= limit)
        return {file.id for file in newest[fitting:]}

    def _found(self, files: list[Filed], lacking: int) -> set[int]:
        """The fewest, in the order in which they are given up, that make up for what lacks."""
        if lacking <= 0:
            return set()
        order = sorted(files, key=lambda file: (GIVEN_UP.index(file.role), _age(file)))
        sums = accumulate(self.sizes[file.id] for file in order)
        needed = 1 + sum(1 for total in sums if total < lacking)
        return {file.id for file in order[:needed]}


def _age(file: Filed) -> tuple[float, int, int]:
    return file.at, file.job, file.id


def as_config(keeping: Keeping) -> dict[str, Any]:
    """The rules as the configuration has them."""
    rules: dict[str, Any] = {
        kind: {
            "max_age": None if days is None else f"{days * 24:.0f}h",
            "max_size": None if keeping.max_size[kind] is None else f"{keeping.max_size[kind]}B",
        }
        for kind, days in keeping.max_age.items()
    }
    free = None if keeping.min_free is None else f"{keeping.min_free}B"
    return {**rules, "brake": keeping.brake, "min_free": free}


def emptied(paths: Iterable[str], left: set[str]) -> set[str]:
    """The folders that are empty when these paths are gone. left: all paths that stay; folders
    among them end in a slash."""
    gone = set[str]()
    for path in sorted(paths, key=lambda name: -name.count("/")):
        folder = path
        while folder := folder.rpartition("/")[0]:
            if folder in left or any(_inside(p, folder) for p in left - gone):
                break
            gone |= {f"{folder}/"} & left
    return gone


def _inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/") and path != f"{folder}/"
