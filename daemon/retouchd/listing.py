"""Listing an inbox: names first, without a stat per file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retouchd.errors import from_os_error
from retouchd.ignoring import ignored_by
from retouchd.roots import Root

MAX_DEPTH = 32
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
    try:
        return list(_walk(root.fd, "", MAX_DEPTH, ignore, frozenset(excluded)))
    except OSError as error:
        raise from_os_error(error, root.ref.path) from None


def _walk(
    fd: int, prefix: str, depth: int, ignore: Sequence[str], excluded: frozenset[str]
) -> Iterator[Found]:
    folders = []
    with os.scandir(fd) as entries:
        for entry in entries:
            path = prefix + entry.name
            if path in excluded or ignored_by(path, ignore):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                yield Found(path, entry.inode(), entry.is_file(follow_symlinks=False))
    for name in folders if depth else ():
        try:
            deeper = os.open(name, _FOLDER, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            yield from _walk(deeper, f"{prefix}{name}/", depth - 1, ignore, excluded)
        finally:
            os.close(deeper)
