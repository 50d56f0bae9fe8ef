"""What composites are made of: photos and cut-outs, and which of them are held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from models.training.photos import Entry, Photos, Picture, open_photos
from numpy.random import Generator

LONGEST = 640  # pixels of a stored photo; pictures to learn from are hardly larger
# Sources of photos that show places and stuff. The other photos mostly show somebody or
# something, which a composite would teach the network to call background.
SCENERY = ("ambientcg", "elementary", "maxstyle", "oceanic", "openforest", "pop", "wp24")


@dataclass(frozen=True)
class Material:
    """photos: backgrounds and stuff to fill shapes with. cutouts: RGBA. drawn: the share of
    subjects that are procedural."""

    photos: Photos
    cutouts: Photos
    drawn: float

    def photo(self, rng: Generator) -> tuple[Picture, bool]:
        """(any photo, whether it is scenery)."""
        at = int(rng.integers(len(self.photos)))
        return self.photos[at], source(self.photos.entries[at]) in SCENERY

    def cutout(self, rng: Generator) -> Picture:
        """Any cut-out [H, W, 4]; every source is as likely as the others, however many it has."""
        found = self._by_source[int(rng.integers(len(self._by_source)))]
        return self.cutouts[found[int(rng.integers(len(found)))]]

    @cached_property
    def _by_source(self) -> list[list[int]]:
        """Indices of cut-outs."""
        found: dict[str, list[int]] = {}
        for at, entry in enumerate(self.cutouts.entries):
            found.setdefault(source(entry), []).append(at)
        return [found[name] for name in sorted(found)]


def open_material(
    photos: Path, cutouts: Path, cache: Path, drawn: float
) -> tuple[Material, Material]:
    """(for training, held out), without anything in common; raises as ``open_photos``."""
    learned, held = open_photos(photos, cache, LONGEST).split()
    all_cutouts = open_photos(cutouts, cache, LONGEST, alpha=True)
    into = [e for e in all_cutouts.entries if not held_out(e.name)]
    out = [e for e in all_cutouts.entries if held_out(e.name)]
    store = all_cutouts.store
    return Material(learned, Photos(store, into), drawn), Material(held, Photos(store, out), 0.0)


def held_out(name: str) -> bool:
    """Whether a cut-out is never trained on: one family in eight, by a hash that never changes.

    A family has its first two words in common: ``photo-lamp-red`` and ``photo-lamp-blue``.
    """
    family = "-".join(Path(name).stem.split("-")[:2])
    return hashlib.sha256(family.encode()).digest()[0] % 8 == 0


def source(entry: Entry) -> str:
    """The first word of a file's name."""
    return entry.name.split("-")[0]
