"""Pure: how a dropped file's name reads, and which masks fit which photos by name.

Names are compared NFC-normalised and case-folded. Where a mask fits several photos, the one that
is spelled exactly like it is meant, if there is just one such.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Key = tuple[str, str]
Role = Literal["image", "mask", "shared_mask", "other"]

SUFFIXES = frozenset(("jpg", "jpeg", "jpe", "jfif", "png", "webp", "tif", "tiff", "bmp", "avif"))
MASKS_FOLDER = "masks"
_MARK = re.compile(r"[_.-]mask\Z", re.IGNORECASE | re.ASCII)


def role(relative: str) -> Role:
    """What a file is by its name alone; a mask may still turn out to be a photo with a mask."""
    name = read(relative)
    if name is None:
        return "other"
    if name.base is None:
        return "image"
    return "mask" if name.base else "shared_mask"


@dataclass(frozen=True)
class Name:
    """How a path reads.

    home: the folder whose photos it concerns, ``""`` for the top. full, stem: the file's name with
    and without its suffix. base: what it is a mask of, ``""`` for the whole home, None if it does
    not read as a mask. may_be_image: false in a ``masks`` folder, where all are masks.
    """

    relative: str
    home: str
    full: str
    stem: str
    base: str | None
    may_be_image: bool


def read(relative: str) -> Name | None:
    """How the path reads; None if its suffix is that of no image that can be worked on."""
    folder, _, full = relative.rpartition("/")
    stem, _, suffix = full.rpartition(".")
    if not stem or suffix.lower() not in SUFFIXES:
        return None
    mark = _MARK.search(stem)
    base = stem[: mark.start()] if mark else None
    parent, _, last = folder.rpartition("/")
    if fold(last) == MASKS_FOLDER:
        # Whatever lies in `masks` is a mask of what lies beside `masks`, marked or not.
        return Name(relative, parent, full, stem, stem if base is None else base, False)
    return Name(relative, folder, full, stem, base, True)


def fold(text: str) -> str:
    """The text under which names that differ in case or normalisation only are equal."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


@dataclass
class Links:
    """Which masks aim at which photos, and the groups that this makes (disjoint sets).

    aiming: masks for which there is a photo. aimed_at: photos for which there is a mask; a file
    like ``a_mask.png`` may be both. A mask that fits every member of a set of like-named photos
    is linked to the set, not to each of them, so that thousands of like-named files stay cheap.
    """

    aiming: set[str] = field(default_factory=set)
    aimed_at: set[str] = field(default_factory=set)
    _parent: dict[str, str] = field(default_factory=dict)

    def link(self, names: Iterable[Name]) -> None:
        """Link every mask among ``names`` with the photos that it fits."""
        names = list(names)
        exact, folded = _by_key(names)
        opened: set[Key] = set()
        for name in names:
            if name.base is None:
                continue
            key = name.home, fold(name.base)
            fits = exact.get((name.home, name.base), [])
            if len(fits) != 1:
                fits = folded.get(key, [])
            if not fits:
                continue
            self.aiming.add(name.relative)
            self._join(name.relative, fits[0])
            if len(fits) == 1:
                self.aimed_at.add(fits[0])
            elif key not in opened:
                opened.add(key)
                self._open(fits)

    def _open(self, fits: list[str]) -> None:
        self.aimed_at.update(fits)
        for other in fits[1:]:
            self._join(fits[0], other)

    def groups(self, names: Iterable[str]) -> list[list[str]]:
        """``names`` by what is linked, each group sorted."""
        found: dict[str, list[str]] = defaultdict(list)
        for relative in names:
            found[self._root(relative)].append(relative)
        return [sorted(group) for group in found.values()]

    def _root(self, relative: str) -> str:
        root = relative
        while (above := self._parent.get(root, root)) != root:
            root = above
        while (above := self._parent.get(relative, relative)) != root:
            self._parent[relative] = root
            relative = above
        return root

    def _join(self, one: str, other: str) -> None:
        self._parent[self._root(one)] = self._root(other)


def _by_key(names: Iterable[Name]) -> tuple[dict[Key, list[str]], dict[Key, list[str]]]:
    """(home, full name or stem) → the photos of that name: spelled so, and folded."""
    exact: dict[Key, list[str]] = defaultdict(list)
    folded: dict[Key, list[str]] = defaultdict(list)
    for name in names:
        for text in (name.full, name.stem) if name.may_be_image else ():
            exact[name.home, text].append(name.relative)
            folded[name.home, fold(text)].append(name.relative)
    return exact, folded
