"""Wakes the intake when something happens in an inbox; the scanner remains the truth."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial

from watchdog.observers.inotify_c import (
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    WatchDescriptor,
    inotify_add_watch,
    inotify_rm_watch,
)

from retouchd.errors import printable
from retouchd.listing import FOLDER, MAX_DEPTH
from retouchd.naming import OUR_PREFIX

Wake = Callable[[str | None], None]
"""Called with the path that was touched, relative to the inbox; None where it is not known which.
"""
LaneWake = Callable[[str, str | None], None]
"""The same, with the lane's name first."""
_NEWS = (
    InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_ONLYDIR
)
"""Only a writer or a new name is news; reading is not."""
_OF_CONTENT = InotifyConstants.IN_MODIFY | InotifyConstants.IN_ATTRIB


class _Tree(InotifyFD):
    """The watches on an inbox and the folders in it.

    Folders are opened step by step, as when they are listed, and watched by their descriptors: a
    path would be led away by whoever puts a link in a folder's place, and then all that lies
    there, maybe the whole machine, would be walked and watched.
    """

    def __init__(self, inbox: str, wake: Wake) -> None:
        super().__init__()
        self._inbox, self._wake = inbox, wake
        # Events are read while the folders are still being walked.
        self._guard = threading.RLock()
        self._folders: dict[WatchDescriptor, str] = {}
        self._top: WatchDescriptor | None = None

    def watch(self) -> None:
        """Watch all folders that there are; raises OSError where the inbox can't be watched, or not
        all of it, because there are too many folders."""
        with self._opened() as fd, self._guard:
            self._top = self._add(fd, "")
            self._add_below(fd, "")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        fd = os.open(self._inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    @property
    def lives(self) -> bool:
        """Whether anything is still told."""
        return self.is_alive() and self._top in self._folders

    def _add(self, fd: int, folder: str) -> WatchDescriptor:
        wd = inotify_add_watch(self._inotify_fd, b"/proc/self/fd/%d" % fd, _NEWS)
        if wd < 0:
            number = ctypes.get_errno()
            full = number == errno.ENOSPC
            raise OSError(number, "inotify watch limit reached" if full else os.strerror(number))
        self._folders[wd] = folder
        return wd

    def _add_below(self, fd: int, folder: str) -> None:
        if folder.count("/") >= MAX_DEPTH:
            return
        with _unless_too_many(), os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    self._enter(fd, entry.name, folder)

    def _enter(self, fd: int, name: str, folder: str) -> None:
        path = os.path.join(folder, name)
        with _unless_too_many():
            deeper = os.open(name, FOLDER, dir_fd=fd)
            try:
                self._add(deeper, path)
                self._add_below(deeper, path)
            finally:
                os.close(deeper)

    def _came(self, path: str) -> None:
        """A folder has come: go the whole way to it anew, because no step may be a link."""
        *steps, name = path.split("/")
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            fd = opened.enter_context(self._opened())
            for step in steps:
                fd = os.open(step, FOLDER, dir_fd=fd)
                opened.callback(os.close, fd)
            self._enter(fd, name, "/".join(steps))

    def _went(self, path: str) -> None:
        """A folder has another name now, or lies elsewhere; then it is not ours to watch."""
        for wd, folder in list(self._folders.items()):
            if folder == path or folder.startswith(f"{path}/"):
                del self._folders[wd]
                inotify_rm_watch(self._inotify_fd, wd)

    def handle_event(self, event: InotifyEvent) -> None:
        """Keep the watches right, and wake whoever waits for news."""
        with self._guard:
            self._handle(event)

    def _handle(self, event: InotifyEvent) -> None:
        if event.is_queue_overflow:
            # First of all the watches are set anew: folders that came meanwhile have none. What is
            # there by then the scan finds, what comes later they tell.
            with contextlib.suppress(OSError):
                self.watch()
            self._wake(None)
        elif event.is_ignored or event.mask & InotifyConstants.IN_DELETE_SELF:
            self._folders.pop(event.wd, None)
        elif event.wd in self._folders:
            self._tell(event, os.path.join(self._folders[event.wd], os.fsdecode(event.name)))

    def _tell(self, event: InotifyEvent, path: str) -> None:
        if event.mask & InotifyConstants.IN_ISDIR:
            if event.is_moved_from:
                self._went(path)
            if event.is_moved_to or event.is_create:
                self._came(path)
            # What changed in a folder has an event of its own.
            if event.mask & _OF_CONTENT:
                return
        # Looking whether a paused lane can be written to is not news, or it would go on.
        if path and not os.path.basename(path).startswith(OUR_PREFIX):
            self._wake(path)


@contextlib.contextmanager
def _unless_too_many() -> Iterator[None]:
    """A folder that is gone, or nobody may look into, has nothing to tell."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise


class Watch:
    """Inotify watches on local inboxes.

    An inbox that can't be watched (watch limit reached, folder gone) is scanned more often; the
    reason is returned by ``add``.
    """

    def __init__(self, wake: LaneWake) -> None:
        self._wake = wake
        self._trees: dict[str, _Tree] = {}

    def add(self, lane: str, inbox: str) -> str | None:
        """Watch an inbox; returns None, or why it can't be watched."""
        self.remove(lane)
        with contextlib.ExitStack() as undo:
            try:
                tree = _Tree(inbox, partial(self._wake, lane))
                tree.start()
                undo.callback(_stop, tree)
                tree.watch()
            except OSError as error:
                return printable(error)
            undo.pop_all()
        self._trees[lane] = tree
        return None

    def alive(self, lane: str) -> bool:
        """Whether the watch on a lane's inbox still runs."""
        tree = self._trees.get(lane)
        return tree is not None and tree.lives

    def remove(self, lane: str) -> None:
        """Stop watching a lane's inbox."""
        tree = self._trees.pop(lane, None)
        if tree is not None:
            _stop(tree)

    def close(self) -> None:
        """Stop watching."""
        for lane in list(self._trees):
            self.remove(lane)


def _stop(tree: _Tree) -> None:
    with contextlib.suppress(Exception):
        tree.stop()
        tree.join(1.0)
