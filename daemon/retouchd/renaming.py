"""Renaming that never replaces: renameat2(2) with RENAME_NOREPLACE, and its stand-ins.

And two files that change places, with RENAME_EXCHANGE."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
from collections.abc import Callable

_NOREPLACE = 1
_EXCHANGE = 2
_AT_FDCWD = -100
_NOT_HERE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return found


def rename_without_replacing(src_fd: int, src: str, dst_fd: int, dst: str) -> None:
    """Rename ``src`` in folder ``src_fd`` to ``dst`` in ``dst_fd``.

    Raises FileExistsError where ``dst`` is taken, OSError(EXDEV) across file systems. Where the
    file system knows no RENAME_NOREPLACE (NFS, some FUSE), a hard link does the same in two
    steps; where it knows no links either (exFAT, some SMB servers), the name is looked up first,
    under a lock that keeps the daemon's own hands apart; nobody else writes there.
    """
    function = _renameat2()
    if function is not None:
        old, new = os.fsencode(src), os.fsencode(dst)
        if function(src_fd, old, dst_fd, new, _NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NOT_HERE:
            raise OSError(number, os.strerror(number), dst)
    _link_then_unlink(src_fd, src, dst_fd, dst)


def change_places(one: str, other: str) -> bool:
    """Have two files take each other's name at once; returns whether the file system could."""
    function = _renameat2()
    if function is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0


def _link_then_unlink(src_fd: int, src: str, dst_fd: int, dst: str) -> None:
    try:
        os.link(src, dst, src_dir_fd=src_fd, dst_dir_fd=dst_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NOT_HERE | {errno.EPERM, errno.EMLINK}:
            raise
        _look_then_rename(src_fd, src, dst_fd, dst)
        return
    os.unlink(src, dir_fd=src_fd)


def _look_then_rename(src_fd: int, src: str, dst_fd: int, dst: str) -> None:
    # Several hands of this host may want one name.
    with contextlib.suppress(OSError):
        fcntl.flock(dst_fd, fcntl.LOCK_EX)
    try:
        os.stat(dst, dir_fd=dst_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(src, dst, src_dir_fd=src_fd, dst_dir_fd=dst_fd)
        return
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(dst_fd, fcntl.LOCK_UN)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), dst)
