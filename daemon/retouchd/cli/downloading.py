"""The progress bar of `models add` on a terminal: how much of how much, and the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def downloading(name: str, *, shown: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Yields what to call with the bytes that are here, and all if known; silent unless shown."""
    if not shown:
        yield lambda here, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        *(BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None, visible=False)
        yield lambda here, total: bar.update(task, completed=here, total=total, visible=True)
