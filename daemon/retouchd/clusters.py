"""Pure: which holes are solved together, and what their crop costs.

Joining never depends on the order in which the holes are found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retouchd.components import (
    Boxes,
    Labels,
    Pairs,
    components,
    gaps,
    gathered,
    joined,
    linked,
    pairs_within,
)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PlanSettings:
    """The constants of planning, in pixels.

    buckets: the sides that crops are snapped up to, ascending, so that equal ones batch together;
        crops above the last one grow in steps of the last two's difference.
    context: what a crop shows on each side of a hole, as a multiple of the hole's mean width;
        down to half of it, where that keeps a crop within the last bucket.
    least_context: what a crop shows at least.
    thin: how much of a hole a cut may cross, to divide a crop of just over the last bucket; a
        crop of n times that side may be cut across n times as much, up to a quarter bucket.
    """

    buckets: tuple[int, ...] = (128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
    context: float = 0.75
    least_context: int = 64
    thin: int = 96

    @property
    def largest(self) -> int:
        """The largest side of a crop that is solved at once, unless a strategy says otherwise."""
        return self.buckets[-1]

    def within(self, largest: int) -> PlanSettings:
        """The same without the buckets above ``largest``; the first one stays in any case."""
        kept = tuple(bucket for bucket in self.buckets if bucket <= largest)
        return replace(self, buckets=kept or self.buckets[:1])


@dataclass(frozen=True, eq=False)
class Clusters:
    """Holes that are solved together: core boxes [N, 4] and the context that each needs [N]."""

    boxes: Boxes
    context: Ints

    def join(self, labels: Labels) -> Clusters:
        """The clusters [k] of equal label, 0 to k - 1, as one each."""
        context = np.zeros(int(labels.max(initial=-1)) + 1, np.int64)
        np.maximum.at(context, labels, self.context)
        return Clusters(joined(self.boxes, labels), context)


@dataclass(frozen=True)
class Frame:
    """What decides the size of a crop: the photo's (height, width) and the settings."""

    photo: tuple[int, int]
    settings: PlanSettings

    def sides(self, clusters: Clusters) -> Ints:
        """The crops' (height, width) [N, 2] at full resolution."""
        core = clusters.boxes[:, 2:] - clusters.boxes[:, :2]
        context = clusters.context[:, None]
        tight = core + 2 * np.maximum(context // 2, self.settings.least_context)
        wish = core + 2 * context
        largest = self.settings.largest
        wish = np.where(tight <= largest, np.minimum(wish, largest), wish)
        sides: Ints = np.minimum(self.snap(wish), np.asarray(self.photo))
        return sides

    def snap(self, sides: Ints) -> Ints:
        """Sides rounded up to buckets."""
        buckets = np.asarray(self.settings.buckets)
        step = int(buckets[-1] - buckets[-2]) if len(buckets) > 1 else int(buckets[-1])
        inside = buckets[np.minimum(np.searchsorted(buckets, sides), len(buckets) - 1)]
        beyond = buckets[-1] + -(-(sides - buckets[-1]) // step) * step
        return np.where(sides <= buckets[-1], inside, beyond)

    def fits(self, clusters: Clusters) -> NDArray[np.bool_]:
        """Which crops [N] are within the largest bucket."""
        fitting: NDArray[np.bool_] = self.sides(clusters).max(axis=1) <= self.settings.largest
        return fitting


def clusters(hole: NDArray[np.uint8], frame: Frame) -> Clusters:
    """The holes of a photo, joined where they need each other's room or are cheaper together."""
    found = measured(hole, frame.settings)
    found = found.join(gathered(found.boxes, max(1, frame.settings.least_context // 2)))
    found = _closed(found)
    while True:
        fewer = _saved(found, frame)
        if len(fewer.boxes) == len(found.boxes):
            return found
        found = fewer


def measured(hole: NDArray[np.uint8], settings: PlanSettings) -> Clusters:
    """One cluster for each connected part of the hole [H, W], with the context that it needs."""
    boxes, counts = components(hole)
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=1)
    # the mean width, not the box: a hair across the photo needs no more context than a speck
    context = np.ceil(counts / longer * settings.context).astype(np.int64)
    return Clusters(boxes, np.maximum(context, settings.least_context))


def _closed(clusters: Clusters) -> Clusters:
    """Join while a core reaches into another's context: the one result, whatever the order."""
    while True:
        pairs = _crowded(clusters)
        if not len(pairs):
            return clusters
        clusters = clusters.join(linked(len(clusters.boxes), pairs))


def _crowded(clusters: Clusters) -> Pairs:
    """The pairs of which one's core reaches into the other's context."""
    pairs = pairs_within(clusters.boxes, clusters.context)
    widest = clusters.context[pairs].max(axis=1, initial=0)
    crowded: Pairs = pairs[gaps(clusters.boxes, pairs) < widest]
    return crowded


def _saved(clusters: Clusters, frame: Frame) -> Clusters:
    """Join what is no dearer as one crop, within the largest bucket; the best savings first.

    Two are joined if neither saves more with a third; equal savings are taken together.
    """
    pairs, gain = _savings(clusters, frame)
    first = np.arange(len(clusters.boxes))
    while len(pairs):
        best = np.full(len(first), -1)
        np.maximum.at(best, pairs, gain[:, None])
        mutual = (best[pairs] == gain[:, None]).all(axis=1)
        first = _joinable(clusters, first, pairs[mutual], frame)
        alone = np.bincount(first, minlength=len(first))[first] == 1
        left = ~mutual & alone[pairs].all(axis=1)
        pairs, gain = pairs[left], gain[left]
    return clusters.join(np.unique(first, return_inverse=True)[1])


def _savings(clusters: Clusters, frame: Frame) -> tuple[Pairs, Ints]:
    """The pairs that fit one crop which costs no more than their two, and what it saves."""
    sides = frame.sides(clusters)
    spare = sides - clusters.boxes[:, 2:] + clusters.boxes[:, :2]
    pairs = pairs_within(clusters.boxes, spare.max(axis=1, initial=0) // 2 + 1)
    low = clusters.boxes[pairs, :2].min(axis=1)
    high = clusters.boxes[pairs, 2:].max(axis=1)
    both = Clusters(np.concatenate([low, high], axis=1), clusters.context[pairs].max(axis=1))
    gain = sides.prod(axis=1)[pairs].sum(axis=1) - frame.sides(both).prod(axis=1)
    useful = (gain >= 0) & frame.fits(both)
    return pairs[useful], gain[useful]


def _joinable(clusters: Clusters, first: Labels, pairs: Pairs, frame: Frame) -> Labels:
    """``first`` (each cluster's first companion), with chains of pairs joined where that is good.

    Good is what fits, is no dearer than its parts, and comes into no other's context.
    """
    cost = frame.sides(clusters).prod(axis=1)
    chain = linked(len(first), np.concatenate([pairs, np.stack([np.arange(len(first)), first], 1)]))
    union = clusters.join(chain)
    good = (frame.sides(union).prod(axis=1) <= np.bincount(chain, cost)) & frame.fits(union)
    trial = _firsts(np.where(good[chain], chain, -1), first)
    name, label = np.unique(trial, return_inverse=True)
    crowd = np.zeros(len(name), np.bool_)
    crowd[_crowded(clusters.join(label))] = True
    return np.where(crowd[label], first, trial)


def _firsts(chain: Labels, otherwise: Labels) -> Labels:
    """The index of the first of each equal label; ``otherwise`` where the label is negative."""
    lowest = np.full(int(chain.max(initial=-1)) + 2, len(chain))
    np.minimum.at(lowest, chain, np.arange(len(chain)))
    return np.where(chain >= 0, lowest[chain], otherwise)
