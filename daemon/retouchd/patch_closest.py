"""Pure: the sources that patches are most like, by comparing them with all."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from retouchd.patch_level import SEEN, Flags, Index, PatchLevel

_ALL = 60_000_000  # pairs of patches that are all compared, if no more
_SOME = 20_000_000  # of more, so many
_SOURCES = 1 << 14  # that are looked at, at most
_AT_ONCE = 1 << 11  # patches, and sources, in one product: what fits a processor's cache


def closest(
    level: PatchLevel, middles: Index, random: Generator, known: Flags | None = None
) -> Index:
    """For each patch the source that differs least from it, by squares at every other pixel.

    known: [H · W], where the patches are looked at; everywhere if left out. Of a great many sources
    only some are compared, picked at random.
    """
    if known is None:
        known = np.ones(level.hole.size, np.bool_)
    sources = _some(level.sources, len(middles), random)
    parts = [middles[start : start + _AT_ONCE] for start in range(0, len(middles), _AT_ONCE)]
    return np.concatenate([_closest(level, part, sources, known) for part in parts])


def _some(sources: Index, middles: int, random: Generator) -> Index:
    count = min(len(sources), _SOURCES)
    if count * middles > _ALL:
        count = max(1, _SOME // middles)
    return sources if count == len(sources) else random.choice(sources, count, replace=False)


def _closest(level: PatchLevel, middles: Index, sources: Index, known: Flags) -> Index:
    steps = level.steps(SEEN)
    seen = known[middles + steps].astype(np.float32)
    ours = (level.pixels[:, middles + steps] * seen).reshape(-1, len(middles))
    found, least = np.zeros_like(middles), np.full(len(middles), np.inf, np.float32)
    for start in range(0, len(sources), _AT_ONCE):
        some = sources[start : start + _AT_ONCE]
        theirs = level.pixels[:, some + steps]
        # Σ k (a − b)² without what is the same for all b, as two products of matrices.
        apart = seen.T @ (np.square(theirs).sum(axis=0) / 2)
        apart -= ours.T @ theirs.reshape(-1, len(some))
        nearest = apart.argmin(axis=1)
        cost = np.take_along_axis(apart, nearest[:, None], axis=1).ravel()
        better = cost < least
        found[better], least[better] = some[nearest[better]], cost[better]
    return found
