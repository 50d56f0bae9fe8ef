"""One service per ledger: a lock file that the kernel lets go when the process ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from retouchd.errors import LedgerHeld, LedgerUnusable
from retouchd.ledger.trouble import unusable
from retouchd.naming import LOCK

_PAUSES = (0.02, 0.05, 0.1)
_LONGEST = 20


def lock_of(ledger: Path) -> Path:
    """The file that is locked while a service works with a ledger."""
    return ledger.with_name(LOCK)


class InstanceLock:
    """An exclusive ``flock`` on ``ledger.lock`` beside the ledger, holding our process number.

    Raises LedgerHeld when another process has it. Child processes don't inherit the lock.
    """

    def __init__(self, ledger: Path) -> None:
        self.path = lock_of(ledger)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise _unusable(ledger, error) from None
        if not self._take():
            pid = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise LedgerHeld(pid=pid, path=ledger)
        try:
            # One write of one length: no reader finds the half of it, and no space is given back
            # that a full disk would not return.
            os.pwrite(self._fd, f"{os.getpid():<{_LONGEST}}\n".encode(), 0)
        except OSError as error:
            os.close(self._fd)
            raise _unusable(ledger, error) from None

    def _take(self) -> bool:
        """More than one try, because ``holder`` takes the lock for a moment when it looks."""
        for wait in (*_PAUSES, None):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if wait is not None:
                    time.sleep(wait)
            else:
                return True
        return False

    def release(self) -> None:
        """Let the next instance in."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> InstanceLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _unusable(ledger: Path, error: OSError) -> LedgerUnusable:
    fix = "Create the folder and give it to the service user, or set `state` elsewhere."
    error.strerror = f"its folder can't be written ({error.strerror})"
    return unusable(ledger, error, fix)


def holder(ledger: Path) -> int | None:
    """Process number of the running service, or None if no service runs."""
    try:
        fd = os.open(lock_of(ledger), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(fd)
    return None
