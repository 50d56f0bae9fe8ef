"""Listing an inbox: names first, without a stat per file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from retouchd.errors import from_os_error
from retouchd.ignoring import ignored_by
from retouchd.roots import Root

MAX_DEPTH = 32
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder in an inbox is opened: never by a link."""


@dataclass(frozen=True)
class Found:
    """One name below an inbox. plain: False for links, pipes, sockets and devices."""

    path: str
    inode: int
    plain: bool


def list_names(root: Root, ignore: Sequence[str], excluded: Sequence[str]) -> list[Found]:
    """Every name below the root that is not ignored, sub-folders included.

    ignore: the lane's own patterns. excluded: folders below the root that belong to another lane.
    Links to folders are not followed. A folder that vanishes meanwhile is skipped; any other
    trouble raises TransientError, because a partial listing would look like deleted files.
    """
    leave_out = frozenset(excluded)
    return list(_walk(root, root.fd, "", lambda p: p in leave_out or bool(ignored_by(p, ignore))))


def _walk(root: Root, fd: int, prefix: str, skip: Callable[[str], bool]) -> Iterator[Found]:
    folders = []
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                path = prefix + entry.name
                if skip(path):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    yield Found(path, entry.inode(), entry.is_file(follow_symlinks=False))
    except OSError as error:
        raise from_os_error(error, root.shown(prefix)) from None
    for name in folders if prefix.count("/") < MAX_DEPTH else ():
        deeper = _descend(root, fd, prefix, name)
        if deeper is None:
            continue
        try:
            yield from _walk(root, deeper, f"{prefix}{name}/", skip)
        finally:
            os.close(deeper)


def _descend(root: Root, fd: int, prefix: str, name: str) -> int | None:
    try:
        return os.open(name, FOLDER, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise from_os_error(error, root.shown(prefix + name)) from None
