"""Pure: the connected parts of a hole, as boxes, at a cost in memory that does not grow.

Boxes are int64 arrays [N, 4]: top, left, bottom, right (the last two exclusive).
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.int64]
Counts = NDArray[np.int64]
Labels = NDArray[np.int64]
Pairs = NDArray[np.int64]

_STRIP = 512  # rows; labels take four bytes a pixel, which a 200 MP hole must not cost at once
_BLOCK = 256  # boxes compared with all others at a time


def components(hole: NDArray[np.uint8]) -> tuple[Boxes, Counts]:
    """The 8-connected components of a [H, W] hole: bounding boxes [N, 4] and pixel counts [N].

    Labelled strip by strip; parts that touch across two strips are joined afterwards.
    """
    boxes: list[Boxes] = [np.empty((0, 4), np.int64)]
    counts: list[Counts] = [np.empty(0, np.int64)]
    seams: list[Pairs] = [np.empty((0, 2), np.int64)]
    total = 0
    above = np.zeros(hole.shape[1], np.int64)
    for top in range(0, hole.shape[0], _STRIP):
        found, area, first, last = _strip(hole[top : top + _STRIP], total)
        boxes.append(found + np.array([top, 0, top, 0]))
        counts.append(area)
        seams.extend(_touching(above, first))
        above, total = last, total + len(area)
    labels = linked(total, np.concatenate(seams))
    sums = np.bincount(labels, np.concatenate(counts)).astype(np.int64)
    return joined(np.concatenate(boxes), labels), sums


def _strip(part: NDArray[np.uint8], base: int) -> tuple[Boxes, Counts, Labels, Labels]:
    """Boxes and counts of a strip, and its first and last row as labels from base + 1 (0: none)."""
    rows = np.zeros((2, part.shape[1]), np.int64)
    left, _, width, _ = cv2.boundingRect(part)
    if not width:
        return np.empty((0, 4), np.int64), np.empty(0, np.int64), rows[0], rows[1]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        part[:, left : left + width], connectivity=8, ltype=cv2.CV_32S
    )
    x, y, w, h, area = stats[1:].astype(np.int64).T
    edges = labels[[0, -1]].astype(np.int64)
    rows[:, left : left + width] = np.where(edges > 0, edges + base, 0)
    return np.stack([y, x + left, y + h, x + left + w], axis=1), area, rows[0], rows[1]


def _touching(above: Labels, below: Labels) -> Iterator[Pairs]:
    if not (above.any() and below.any()):
        return
    for shift in (-1, 0, 1):
        first = above[max(-shift, 0) : len(above) - max(shift, 0)]
        second = below[max(shift, 0) : len(below) - max(-shift, 0)]
        both = (first > 0) & (second > 0)
        yield np.unique(np.stack([first[both], second[both]], axis=1) - 1, axis=0)


def linked(count: int, pairs: Pairs) -> Labels:
    """Labels [count], 0 to k - 1, equal where a chain of pairs [M, 2] links two of them."""
    label = np.arange(count)
    while True:
        low = label[pairs].min(axis=1)
        before = label.copy()
        np.minimum.at(label, before[pairs[:, 0]], low)
        np.minimum.at(label, before[pairs[:, 1]], low)
        label = _followed(label)
        if np.array_equal(label, before):
            return np.unique(label, return_inverse=True)[1]


def _followed(label: Labels) -> Labels:
    while True:
        further = label[label]
        if np.array_equal(further, label):
            return label
        label = further


def joined(boxes: Boxes, labels: Labels) -> Boxes:
    """The smallest boxes [k, 4] around the boxes [N, 4] of equal label, 0 to k - 1."""
    if not len(boxes):
        return boxes
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(labels.max() + 1))
    low = np.minimum.reduceat(boxes[order, :2], starts)
    high = np.maximum.reduceat(boxes[order, 2:], starts)
    return np.concatenate([low, high], axis=1)


def gathered(boxes: Boxes, cell: int) -> Labels:
    """Labels [N], equal for boxes that a chain of touching grid cells of that size connects.

    Linear in the boxes. Two linked neighbours have less than ``2 * cell - 1`` px between them.
    """
    first, last = boxes[:, :2] // cell, (boxes[:, 2:] - 1) // cell
    grid = np.zeros(last.max(axis=0, initial=0) + 1, np.uint8)
    for (top, left), (bottom, right) in zip(first.tolist(), last.tolist(), strict=True):
        grid[top : bottom + 1, left : right + 1] = 1
    cells = cv2.connectedComponents(grid, connectivity=8)[1]
    return np.unique(cells[first[:, 0], first[:, 1]], return_inverse=True)[1]


def pairs_within(boxes: Boxes, margin: NDArray[np.int64]) -> Pairs:
    """All pairs [M, 2] of boxes that overlap once each is grown by its own margin [N]."""
    grown = boxes + np.stack([-margin, -margin, margin, margin], axis=1)
    order = np.argsort(grown[:, 0], kind="stable")
    grown = grown[order]
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(grown), _BLOCK):
        block = grown[start : start + _BLOCK, None]
        stop = int(np.searchsorted(grown[:, 0], block[..., 2].max()))
        rest = grown[None, start:stop]
        meet = (rest[..., 0] < block[..., 2]) & (block[..., 0] < rest[..., 2])
        meet &= (rest[..., 1] < block[..., 3]) & (block[..., 1] < rest[..., 3])
        found.append(start + np.argwhere(np.triu(meet, 1)))
    return order[np.concatenate(found)]


def gaps(boxes: Boxes, pairs: Pairs) -> NDArray[np.int64]:
    """How many pixels lie between the boxes of each pair, along the wider axis; < 0: overlap."""
    first, second = boxes[pairs[:, 0]], boxes[pairs[:, 1]]
    between = np.maximum(first[:, :2], second[:, :2]) - np.minimum(first[:, 2:], second[:, 2:])
    widest: NDArray[np.int64] = between.max(axis=1, initial=np.iinfo(np.int64).min)
    return widest
