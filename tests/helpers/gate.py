"""A gate before the device, so that a test decides when it goes on."""

from __future__ import annotations

import threading


class Gate:
    """Stands in the way of the device thread until it is opened, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, ...]] = []
        self.reached = threading.Event()
        self.way = threading.Event()
        self.way.set()

    def __call__(self, tags: tuple[int, ...]) -> None:
        self.told.append(tags)
        if tags:
            self.reached.set()
            self.way.wait(5)

    def hold(self) -> None:
        self.reached.clear()
        self.way.clear()
