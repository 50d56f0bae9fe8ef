"""Requests that are painted together: from the queue onto the device, and what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from retouchd.engine import Request, Result
from retouchd.errors import EngineTrouble, OutOfMemory, RetouchdError
from retouchd.ladder import Begun, Outcome, Painted
from retouchd.painter import Painter


@dataclass(frozen=True, eq=False)
class Entry:
    """One request in the queue, and the promise that was made for it."""

    request: Request
    future: Future[Result] = field(default_factory=Future)

    def joins(self, other: Entry) -> bool:
        """Whether both can be painted in one batch."""
        mine, theirs = self.request, other.request
        return (
            mine.model == theirs.model
            and mine.mask.shape == theirs.mask.shape
            and mine.settings.get("precision") == theirs.settings.get("precision")
        )

    def painter(self, painters: Mapping[str, Painter]) -> Painter:
        """Its model's, tuned to its settings."""
        return painters[self.request.model].tuned(self.request.settings)

    def settle(self, outcome: Outcome, seconds: float) -> None:
        """Resolve with what became of it."""
        if isinstance(outcome, Exception):
            self.fail(outcome)
        elif outcome.trouble:
            self.fail(EngineTrouble(model=self.request.model, cause=outcome.trouble))
        else:
            self.future.set_result(Result(outcome.image, seconds, _notes(outcome)))

    def fail(self, error: Exception) -> None:
        """Resolve with an error, in the words of the engine's contract."""
        if not isinstance(error, (EngineTrouble, OutOfMemory)):
            cause = error.message if isinstance(error, RetouchdError) else in_words(error)
            wrapped = EngineTrouble(model=self.request.model, cause=cause)
            wrapped.__cause__ = error
            error = wrapped
        self.future.set_exception(error)


@dataclass(frozen=True, eq=False)
class Batch:
    """Requests on the device since ``at`` (monotonic). begun: an error if they never got there."""

    entries: Sequence[Entry]
    painter: Painter
    at: float
    begun: Begun | Exception

    @property
    def tags(self) -> tuple[int, ...]:
        """Whom to blame if the device takes the process along."""
        return tuple(entry.request.tag for entry in self.entries)


def take(queue: deque[Entry], painters: Mapping[str, Painter]) -> list[Entry]:
    """Take the oldest request from the queue, and with it younger ones that can join it.

    As many as its painter wants at once. Those that are passed over stay in their order, and since
    the oldest is never one of them, none of them waits for ever. Cancelled ones are dropped.
    """
    batch: list[Entry] = []
    passed: list[Entry] = []
    while queue and (not batch or len(batch) < _limit(batch[0], painters)):
        entry = queue.popleft()
        if batch and not entry.joins(batch[0]):
            passed.append(entry)
        elif entry.future.set_running_or_notify_cancel():
            batch.append(entry)
    queue.extendleft(reversed(passed))
    return batch


def _limit(entry: Entry, painters: Mapping[str, Painter]) -> int:
    height, width = entry.request.mask.shape
    return entry.painter(painters).limit((height, width))


def _notes(painted: Painted) -> dict[str, Any]:
    notes = {**painted.facts, "batch": painted.batch}
    if painted.step is not None:
        notes["oom_step"] = painted.step
    if painted.repainted is not None:
        notes["repainted_in_fp32"] = painted.repainted
    return notes


def in_words(error: BaseException) -> str:
    """An error from elsewhere, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
