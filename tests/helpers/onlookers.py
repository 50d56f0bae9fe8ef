"""Who of our own processes opens, reads or changes certain files, as the kernel tells it."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLOEXEC, _NONBLOCK, _UNLIMITED, _ADD = 1, 2, 0x10, 1
_ACCESS, _MODIFY, _CLOSE_WRITE, _OPEN = 0x1, 0x2, 0x8, 0x20
_OF_FOLDERS, _OF_CHILDREN = 0x40000000, 0x08000000
_HERE = -100
_EVENT = struct.Struct("IBBHQii")
EVERY = 0.02


class Onlookers:
    """Listens by fanotify(7), which knows the process; skips the test where that is not allowed.

    Those who do not descend from this process (somebody's `find /tmp`) are let be, and so is this
    process itself. opening: whether that alone counts.
    """

    def __init__(self, paths: Iterable[Path], *, opening: bool = True) -> None:
        flags = _CLOEXEC | _NONBLOCK | _UNLIMITED
        self._fd = _LIBC.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC)
        if self._fd < 0:
            pytest.skip(f"fanotify does not work here: {os.strerror(ctypes.get_errno())}")
        mask = _ACCESS | _MODIFY | _CLOSE_WRITE | (_OPEN if opening else 0)
        mask |= _OF_FOLDERS | _OF_CHILDREN
        for path in paths:
            wanted = ctypes.c_uint64(mask)
            if _LIBC.fanotify_mark(self._fd, _ADD, wanted, _HERE, os.fsencode(path)):
                raise OSError(ctypes.get_errno(), "fanotify_mark")
        self._found: list[str] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def seen(self) -> list[str]:
        """What they did so far."""
        return list(self._found)

    def close(self) -> None:
        """Hear what there still is, and no more."""
        if not self._end.is_set():
            self._end.set()
            self._thread.join(10)
            os.close(self._fd)

    def _listen(self) -> None:
        last = False
        while not last:
            last = self._end.wait(EVERY)
            while data := self._read():
                for at in range(0, len(data), _EVENT.size):
                    self._note(*_EVENT.unpack_from(data, at)[4:])

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 200 * _EVENT.size)
        except BlockingIOError:
            return b""

    def _note(self, mask: int, fd: int, pid: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}") if fd >= 0 else "?"
        if fd >= 0:
            os.close(fd)
        if pid != os.getpid() and _is_ours(pid):
            self._found.append(f"{mask:#x} {path} by {pid}")


def _is_ours(pid: int) -> bool:
    """Whether a process descends from this one. Who is gone already may have."""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            shown = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return True
        pid = int(shown.rpartition(")")[2].split()[1])
    return False
