"""The plain values of messages, as the objects that they stand for, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retouchd.job import FileStat
from retouchd.regions import Box, Region
from retouchd.roots import RootRef
from retouchd.shared import SharedArray

Values = dict[str, Any]
Answer = tuple[Values, Sequence[SharedArray]]
Task = Callable[[Values, Sequence[SharedArray]], Answer]


@dataclass(frozen=True)
class Original:
    """One version of one file below a root."""

    root: RootRef
    path: str
    stat: FileStat

    def to_wire(self) -> Values:
        """As plain values."""
        return asdict(self)


def root_of(wire: Values) -> RootRef:
    """A root from plain values."""
    return RootRef(**wire)


def stat_of(wire: Values | None) -> FileStat | None:
    """A stat from plain values."""
    return FileStat(**wire) if wire else None


def stat_to_wire(stat: FileStat | None) -> Values | None:
    """A stat as plain values."""
    return asdict(stat) if stat else None


def original_of(wire: Values) -> Original:
    """An original from plain values."""
    return Original(RootRef(**wire["root"]), wire["path"], FileStat(**wire["stat"]))


def region_of(wire: Values) -> Region:
    """A region from plain values."""
    return Region(Box(**wire["box"]), wire["scale"], Box(**wire["core"]), wire["way"])
