"""Pure: names that almost read as a mask's, for hints alone.

What belongs together is what ``pairing`` says; this only guesses what a person may have meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from retouchd.namesakes import Key, Name, fold, read

# A word of its own, so that a masked ball or an unmasked face is nobody's mask.
_MARK = re.compile(r"[\s_.(\[-]*mask[es]?(?![^\W\d_])", re.IGNORECASE)
_FRONT = re.compile(r"mask[es]?[\s_.-]+(?:(?:of|for|von|für)[\s_.-]+)?", re.IGNORECASE)
_COPY = re.compile(r"[\s_.-]*(?:\(\d+\)|copy|kopie)\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Near:
    """Near misses. photos: file → the photo that it is probably a mask of. masks: such a photo →
    the first such file."""

    photos: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, str] = field(default_factory=dict)

    def hint(self, path: str) -> str | None:
        """What to do about a file that waits, as the end of a sentence; None if nothing is near."""
        photo, mask = self.photos.get(path), self.masks.get(path)
        if photo:
            return f", but this looks like a mask of {_last(photo)}; call it {fitting(photo, path)}"
        if mask:
            return f"; {_last(mask)} looks like one, but has to be called {fitting(path, mask)}"
        return None


def near_misses(waiting: Iterable[str]) -> Near:
    """Which of these files, that all wait for another, are probably meant for which. O(n)."""
    names = [name for name in map(read, sorted(waiting)) if name is not None]
    by_name: dict[Key, str] = {}
    for name in names:
        if name.base is None and name.may_be_image:
            by_name.setdefault((name.home, fold(name.stem)), name.relative)
            by_name.setdefault((name.home, fold(name.full)), name.relative)
    photos: dict[str, str] = {}
    masks: dict[str, str] = {}
    for name in names:
        found = next((p for p in _photos_of(name, by_name) if p != name.relative), None)
        if found:
            photos[name.relative] = found
            masks.setdefault(found, name.relative)
    return Near(photos, {photo: mask for photo, mask in masks.items() if photo not in photos})


def fitting(photo: str, mask: str) -> str:
    """The name that makes a file the mask of a photo beside it."""
    return f"{_last(photo).rpartition('.')[0]}_mask.{mask.rpartition('.')[2]}"


def _photos_of(name: Name, by_name: Mapping[Key, str]) -> Iterator[str]:
    """The photos that a name comes near to, the longest name first."""
    for base in _bases(name):
        found = by_name.get((name.home, fold(base)))
        if found:
            yield found


def _bases(name: Name) -> Iterator[str]:
    if name.base:
        yield _COPY.sub("", name.base)
    for mark in reversed(list(_MARK.finditer(name.stem))):
        yield name.stem[: mark.start()]
        yield _COPY.sub("", name.stem[: mark.start()])
    if front := _FRONT.match(name.stem):
        yield name.stem[front.end() :]


def _last(path: str) -> str:
    return path.rsplit("/", 1)[-1]
