"""The way to a file below an open root.

Every path is relative to a root's descriptor and is walked component by component without
following links, so that nothing in a drop folder can lead out of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from retouchd.errors import from_os_error
from retouchd.roots import Root, sync_folder

_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def parent(root: Root, relative: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """The descriptor of the folder that holds ``relative``, and the last name.

    create: make missing folders, durably. Raises OSError.
    """
    *folders, name = relative.split("/")
    if not name or any(part in ("", ".", "..") for part in [*folders, name]):
        raise OSError(errno.EINVAL, "not a path below the root")
    fd = os.dup(root.fd)
    try:
        for folder in folders:
            fd = _step(fd, folder, create)
        yield fd, name
    finally:
        os.close(fd)


def _step(fd: int, folder: str, create: bool) -> int:
    """Descend from ``fd`` (which is closed) into ``folder``."""
    try:
        if create:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o775, dir_fd=fd)
                sync_folder(fd)
        deeper = os.open(folder, _WALK, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            error = OSError(errno.ENOTDIR, f"{folder} is a link or a file, not a folder")
        raise error from None
    os.close(fd)
    return deeper


@contextmanager
def trouble(root: Root, relative: str) -> Iterator[None]:
    """Turn OSError into the error that it means for ``relative``."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, root.shown(relative)) from None
