"""What an ``OSError`` means for the job that met it."""

from __future__ import annotations

import errno
import os

from retouchd.errors.passing import (
    DiskFull,
    IoTrouble,
    NotOpened,
    OutOfMemory,
    ReadOnly,
    RootLost,
    TransientError,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_LOCKED = {errno.EROFS, errno.EACCES, errno.EPERM}
_HOMES = ("/home/", "/root/", "/run/user/")
_LOST = {
    errno.ESTALE,
    errno.ENODEV,
    errno.ENOTCONN,
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
}


def from_os_error(error: OSError, path: str) -> TransientError:
    """The error that an ``OSError`` means for the file at ``path``."""
    cause = error.strerror or str(error)
    if error.errno in _FULL:
        return DiskFull(path=path, cause=cause)
    if error.errno in _LOCKED:
        return (NotOpened if _fenced(error.errno, path) else ReadOnly)(path=path, cause=cause)
    if error.errno == errno.ENOMEM:
        # An mmap beyond the process's limit is no fault of the disk, and must not be tried forever.
        return OutOfMemory(what=path)
    if error.errno in _LOST:
        return RootLost(path=path, cause=cause, lane="LANE")
    return IoTrouble(path=path, cause=cause)


def _fenced(number: int | None, path: str) -> bool:
    """Whether it may be systemd's sandbox: to a service all folders that its unit does not name
    are on a read-only disk, and home folders are nobody's."""
    at_home = path.startswith(_HOMES)
    return "INVOCATION_ID" in os.environ and (number == errno.EROFS or at_home)
