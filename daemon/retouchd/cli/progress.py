"""The progress bar of `once` on a terminal: how many of how many, the rate and the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from retouchd.job import State
from retouchd.machinery import Machinery

_ENDED = (State.DONE, State.QUARANTINED, State.CANCELLED)


@contextmanager
def progress(*, shown: bool) -> Iterator[Callable[[Machinery], None]]:
    """Yields what to call now and then; does nothing unless ``shown``."""
    if not shown:
        yield lambda parts: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("retouching"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, rate="")
        first: list[int] = []

        def tick(parts: Machinery) -> None:
            counts = parts.ledger.counts()
            ended = sum(counts[state] for state in _ENDED)
            first[:] = first or [ended]
            done = ended - first[0]
            left = sum(counts.values()) - ended - counts[State.WAITING]
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{60 * done / elapsed:.1f}/min" if done and elapsed else ""
            bar.update(task, completed=done, total=done + left or None, rate=rate)

        yield tick
