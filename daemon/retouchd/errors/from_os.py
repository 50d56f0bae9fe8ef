"""What an ``OSError`` means for the job that met it."""

from __future__ import annotations

import errno

from retouchd.errors.passing import (
    DiskFull,
    IoTrouble,
    OutOfMemory,
    ReadOnly,
    RootLost,
    TransientError,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_LOCKED = {errno.EROFS, errno.EACCES, errno.EPERM}
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
        return ReadOnly(path=path, cause=cause)
    if error.errno == errno.ENOMEM:
        # An mmap beyond the process's limit is no fault of the disk, and must not be tried forever.
        return OutOfMemory(what=path)
    if error.errno in _LOST:
        return RootLost(path=path, cause=cause, lane="LANE")
    return IoTrouble(path=path, cause=cause)
