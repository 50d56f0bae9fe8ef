"""The way to a file below an open root.

Every path is relative to a root's descriptor and is walked component by component without
following links, so that nothing in a drop folder can lead out of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from retouchd.errors import InTheWay, from_os_error
from retouchd.roots import Root, sync_folder

_LONGEST_TARGET = 200
_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def parent(root: Root, relative: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """The descriptor of the folder that holds ``relative``, and the last name.

    create: make missing folders, durably. Raises OSError; where it creates, InTheWay for what is
    no folder.
    """
    *folders, name = _parts(relative)
    fd = _descend(root, folders, create=create, needed=create)
    try:
        yield fd, name
    finally:
        os.close(fd)


def check_way(root: Root, folder: str) -> None:
    """See that files could be put into a folder, made or not yet; ``""`` is the root.

    Raises InTheWay for what is no folder on the way there, and other TransientErrors.
    """
    folders = _parts(folder) if folder else []
    with trouble(root, folder), contextlib.suppress(FileNotFoundError):
        os.close(_descend(root, folders, create=False, needed=True))


def _parts(relative: str) -> list[str]:
    parts = relative.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise OSError(errno.EINVAL, "not a path below the root")
    return parts


def _descend(root: Root, folders: Sequence[str], *, create: bool, needed: bool) -> int:
    """A descriptor of the last of the folders, to be closed.

    needed: raise InTheWay, and not OSError, for what is no folder.
    """
    fd = os.dup(root.fd)
    try:
        for depth, folder in enumerate(folders, 1):
            try:
                fd = _step(fd, folder, create)
            except NotADirectoryError:
                if needed:
                    raise _in_the_way(root, fd, folders[:depth]) from None
                raise
    except BaseException:
        os.close(fd)
        raise
    return fd


def _in_the_way(root: Root, fd: int, folders: Sequence[str]) -> InTheWay:
    """folders: the last of them is none, and ``fd`` the one above it."""
    at = "/".join(folders)
    kind = _kind(fd, folders[-1])
    return InTheWay(path=root.shown(at), kind=kind, role=root.ref.role, folder=at)


def _kind(fd: int, name: str) -> str:
    try:
        mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            target = os.readlink(name, dir_fd=fd)[:_LONGEST_TARGET]
            return f"a link to {target}, and links are never followed: they may lead anywhere"
    except OSError:
        return "something else at times"
    if stat.S_ISDIR(mode):
        return "something else at times"
    return "a file" if stat.S_ISREG(mode) else "a pipe, a socket or a device"


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
