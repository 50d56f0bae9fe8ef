"""The ways in which programs put a file into a folder; each ends with the whole file there."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

Pause = Callable[[], None]
_PARTS = 6


def slowly(path: Path, data: bytes, pause: Pause) -> None:
    """As a browser or a scanner: opened once, written from front to back."""
    with path.open("wb", buffering=0) as file:
        for part in _cut(data):
            pause()
            file.write(part)


def reserved(path: Path, data: bytes, pause: Pause) -> None:
    """As Windows copies: the full size first, then from front to back."""
    with path.open("wb", buffering=0) as file:
        file.truncate(len(data))
        for part in _cut(data):
            pause()
            file.write(part)


def backwards(path: Path, data: bytes, pause: Pause) -> None:
    """The full size first, then the parts from back to front."""
    starts = range(0, len(data), -(-len(data) // _PARTS))
    with path.open("wb", buffering=0) as file:
        file.truncate(len(data))
        for start, part in reversed(list(zip(starts, _cut(data), strict=True))):
            pause()
            file.seek(start)
            file.write(part)


def appended(path: Path, data: bytes, pause: Pause) -> None:
    """Opened and closed for each part."""
    for part in _cut(data):
        with path.open("ab", buffering=0) as file:
            file.write(part)
        pause()


def begun_again(path: Path, data: bytes, pause: Pause) -> None:
    """Broken off in the middle, twice, and then from the beginning."""
    for share in (3, 2, 1):
        with path.open("wb", buffering=0) as file:
            for part in _cut(data[: len(data) // share]):
                pause()
                file.write(part)


def renamed(path: Path, data: bytes, pause: Pause) -> None:
    """Written under a name that is ignored, then renamed."""
    hidden = path.with_name(f"{path.name}.part")
    slowly(hidden, data, pause)
    hidden.rename(path)


def moved_in(path: Path, data: bytes, pause: Pause) -> None:
    """Written beside the inbox, then moved into it; the times are old."""
    beside = path.parent.parent / f"{path.name}.beside"
    slowly(beside, data, pause)
    os.utime(beside, (1_000_000_000, 1_000_000_000))
    beside.rename(path)


def linked(path: Path, data: bytes, pause: Pause) -> None:
    """Written under a hidden name, then linked under its own, and only later unlinked."""
    hidden = path.with_name(f".{path.name}.tmp")
    slowly(hidden, data, pause)
    os.link(hidden, path)
    pause()
    hidden.unlink()


def linked_while_written(path: Path, data: bytes, pause: Pause) -> None:
    """Linked under its own name when half of it is there."""
    hidden = path.with_name(f".{path.name}.tmp")
    with hidden.open("wb", buffering=0) as file:
        for number, part in enumerate(_cut(data)):
            pause()
            file.write(part)
            if number == _PARTS // 2:
                os.link(hidden, path)
    hidden.unlink()


WAYS: tuple[Callable[[Path, bytes, Pause], None], ...] = (
    *(slowly, reserved, backwards, appended, begun_again),
    *(renamed, moved_in, linked, linked_while_written),
)


def pauses(chance: random.Random, least: float, most: float) -> Pause:
    """Waits for some time, now and then for longer."""
    return lambda: time.sleep(most if chance.random() < 0.2 else chance.uniform(0, least))


def _cut(data: bytes) -> list[bytes]:
    size = -(-len(data) // _PARTS)
    return [data[start : start + size] for start in range(0, len(data), size)]
