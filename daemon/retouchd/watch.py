"""Wakes the intake when something happens in an inbox; the scanner remains the truth."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

from retouchd.errors import printable
from retouchd.naming import OUR_PREFIX

Wake = Callable[[str, str | None], None]
"""Called with the lane's name and the path that was touched, relative to its inbox; None where it
is not known which."""


class _Waker(FileSystemEventHandler):
    def __init__(self, lane: str, inbox: str, wake: Wake) -> None:
        self._lane, self._inbox, self._wake = lane, inbox, wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Reading a file makes events too; only a writer or a new name is news.
        if event.event_type in ("opened", "closed_no_write"):
            return
        # What changed in a folder has an event of its own.
        if event.is_directory and event.event_type == "modified":
            return
        for path in (event.src_path, event.dest_path):
            if not path:
                continue
            relative = os.path.relpath(os.fsdecode(path), self._inbox)
            # Looking whether a paused lane can be written to is not news, or it would go on.
            if not os.path.basename(relative).startswith(OUR_PREFIX):
                self._wake(self._lane, relative)


class _Inotify(InotifyFD):
    """The kernel's queue of events; ``lost`` is called when it was full and events were dropped."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__()
        self._lost = lost

    def handle_event(self, event: InotifyEvent) -> None:
        # First of all the watches are set anew: folders that came meanwhile have none. What is
        # there by then the scan finds, what comes later they tell.
        super().handle_event(event)
        if event.is_queue_overflow:
            self._lost()


class _Observer(BaseObserver):
    def __init__(self, lost: Callable[[], None]) -> None:
        self._inotify = _Inotify(lost)
        self._inotify.start()
        super().__init__(InotifyEmitter, inotify_fd=self._inotify)

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self._inotify.stop()
        self._inotify.join()


class Watch:
    """Inotify watches on local inboxes.

    An inbox that can't be watched (watch limit reached, folder gone) is scanned more often; the
    reason is returned by ``add``.
    """

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._observers: dict[str, BaseObserver] = {}

    def add(self, lane: str, inbox: str) -> str | None:
        """Watch an inbox; returns None, or why it can't be watched."""
        self.remove(lane)
        with contextlib.ExitStack() as undo:
            try:
                observer = _Observer(partial(self._wake, lane, None))
                undo.callback(observer.stop)
                observer.schedule(_Waker(lane, inbox, self._wake), inbox, recursive=True)
                observer.start()
            except OSError as error:
                return printable(error)
            undo.pop_all()
        self._observers[lane] = observer
        return None

    def alive(self, lane: str) -> bool:
        """Whether the watch on a lane's inbox still runs."""
        observer = self._observers.get(lane)
        if observer is None or not observer.is_alive():
            return False
        return bool(observer.emitters) and all(e.is_alive() for e in observer.emitters)

    def remove(self, lane: str) -> None:
        """Stop watching a lane's inbox."""
        observer = self._observers.pop(lane, None)
        if observer is not None:
            with contextlib.suppress(Exception):
                observer.stop()
                observer.join(1.0)

    def close(self) -> None:
        """Stop watching."""
        for lane in list(self._observers):
            self.remove(lane)
