"""Batches by step: made by any number of processes, reused, taken up anywhere."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import DataLoader

_GAP = 8  # steps between two uses of the same sample
FIRST = 1 << 20  # added to numbers of chunks, which start below zero, where a stream warms up

B = TypeVar("B", bound=tuple[Tensor, ...])
B_co = TypeVar("B_co", bound=tuple[Tensor, ...], covariant=True)


class Numbered(Protocol[B_co]):
    """Fresh samples by number: chunk n is what step n sees for the first time."""

    @property
    def nbytes(self) -> int:
        """Of a chunk."""

    def __getitem__(self, number: int) -> B_co: ...


@dataclass(frozen=True)
class Feed:
    """How samples come.

    batch: samples per step. reuse: how many steps see a sample, each time flipped or turned
    differently; ``batch`` is divisible by it. workers: processes; 0 makes samples in this one.
    device: where they go.
    """

    seed: int
    batch: int
    reuse: int = 1
    workers: int = 0
    device: str = "cpu"

    @property
    def fresh(self) -> int:
        """Samples per chunk."""
        return self.batch // self.reuse


def stream(
    chunks: Numbered[B], feed: Feed, turn: Callable[[B, Generator], B], first: int, last: int
) -> Iterator[B]:
    """The batches of steps ``first`` to ``last`` − 1; ``turn`` varies a chunk at each use."""
    kept = (feed.reuse - 1) * _GAP
    loader: DataLoader[B] = DataLoader(
        chunks,  # type: ignore[arg-type]
        batch_size=None,
        sampler=range(first - kept, last),
        num_workers=feed.workers,
        prefetch_factor=_prefetch(feed, chunks.nbytes) if feed.workers else None,
        multiprocessing_context="spawn" if feed.workers else None,
        worker_init_fn=_calm,
        pin_memory=feed.device.startswith("cuda"),
    )
    recent: deque[B] = deque(maxlen=kept + 1)
    for number, chunk in enumerate(loader, first - kept):
        # There first: on a GPU, turning and joining cost nothing.
        recent.append(type(chunk)(*(p.to(feed.device, non_blocking=True) for p in chunk)))
        if number >= first:
            rng = np.random.default_rng([feed.seed, number + FIRST, 1])
            yield _joined([turn(part, rng) for part in list(recent)[::_GAP]])


def _prefetch(feed: Feed, chunk: int) -> int:
    """Chunks that each worker keeps ready; they wait in shared memory, of which containers often
    have little. Raises MemoryError if there is not enough for one each."""
    room = shutil.disk_usage("/dev/shm").free // (2 * chunk * feed.workers)
    if room < 1:
        raise MemoryError("/dev/shm is too small for the samples of so many workers: use fewer")
    return min(4, room)


def _joined(parts: list[B]) -> B:
    return type(parts[0])(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _calm(_: int) -> None:
    """One thread per worker process; there are as many as there are processors."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
