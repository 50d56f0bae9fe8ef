"""What a hand's libraries wrote to its standard error: kept in memory, for the case that it dies.

Who aborts says there why: glibc ("free(): invalid pointer"), an assertion, an exception in C++. The
memory outlives the hand, and has from the beginning the size that it may have.
"""

from __future__ import annotations

import fcntl
import os
import signal

_SIZE = 1 << 18
"""Bytes. Whoever writes more in one task can write no more, and what was his last word is lost."""
_LINES, _LONGEST = 2, 200
_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK


class LastWords:
    """The memory, as the service holds it. fd: for the hand, which makes it its standard error.

    Raises OSError where there is no memory or no descriptor left.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("retouchd-words", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, _SIZE)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            self.close()
            raise

    def read(self) -> str:
        """The last two lines of a hand's last task, at most 200 characters of them; ``""`` where
        it wrote nothing or too much. A hand that was taken over may have made them up."""
        written, _, left = os.pread(self.fd, _SIZE, 0).partition(b"\0")
        if not left:
            return ""
        lines = [line.strip() for line in written.decode(errors="replace").splitlines()]
        return " / ".join([line for line in lines if line][-_LINES:])[-_LONGEST:]

    def close(self) -> None:
        """Give the memory up; may be repeated."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def forget(fd: int) -> None:
    """In a hand: a new task begins, and what was written before says nothing of it."""
    if written := os.lseek(fd, 0, os.SEEK_CUR):
        os.pwrite(fd, bytes(written), 0)
        os.lseek(fd, 0, os.SEEK_SET)


def cause(code: int, words: str) -> str:
    """How a hand ended. code: as ``Popen.returncode``. words: ``LastWords.read``."""
    if code == -signal.SIGKILL:
        # Whoever is killed has no time for words: these are about something else.
        return "SIGKILL, out of memory?"
    if -code in set(signal.Signals):
        name = signal.Signals(-code).name
    else:
        name = f"exit status {code}" if code >= 0 else f"signal {-code}"
    return f"{name}: {words}" if words else name
