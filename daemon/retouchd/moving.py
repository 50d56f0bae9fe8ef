"""Moving an original out of the inbox: exactly once, whatever happens in between."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import StrEnum

from retouchd import files
from retouchd.durable import make_absence_durable, make_durable
from retouchd.errors import from_os_error
from retouchd.job import FileStat
from retouchd.naming import temporary
from retouchd.renaming import rename_without_replacing
from retouchd.roots import Root, sync_folder
from retouchd.walking import parent

_COARSE_NS = 2_000_000_000
"""FAT keeps times in steps of 2 s, and a copy on it has a time that was cut."""


class Outcome(StrEnum):
    """How a move ended."""

    MOVED = "moved"  # it lies at its destination, now or already
    TAKEN = "taken"  # the destination name belongs to another file: choose the next one
    GONE = "gone"  # a person took it away
    REPLACED = "replaced"  # a person put another file in its place: that one stays


@dataclass(frozen=True)
class Moved:
    """The outcome and, for MOVED, the stat at the destination."""

    outcome: Outcome
    stat: FileStat | None = None


def move(
    source: Root, src: str, target: Root, dst: str, expected: FileStat | None, token: str
) -> Moved:
    """Move ``src`` below ``source`` to ``dst`` below ``target``, never replacing a file.

    expected: the version to move; None moves whatever is there. token: names the temporary file
    of a copy across file systems. Repeating a move that was cut off at any point completes it.
    Raises TransientError.
    """
    there = files.stat(source, src)
    if there is None or (
        expected is not None and (there.size, there.mtime_ns) != (expected.size, expected.mtime_ns)
    ):
        if _arrived(source, src, target, dst, expected):
            return Moved(Outcome.MOVED, files.stat(target, dst))
        return Moved(Outcome.GONE if there is None else Outcome.REPLACED)
    try:
        return _rename(source, src, target, dst, there)
    except FileExistsError:
        return _resume_copy(source, src, target, dst)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise from_os_error(error, target.shown(dst)) from None
        if files.stat(target, dst):
            return _resume_copy(source, src, target, dst)
        return _copy(source, src, target, dst, there, token)


def _arrived(source: Root, src: str, target: Root, dst: str, expected: FileStat | None) -> bool:
    """Whether an earlier try got it there; if so, it lasts from now on."""
    arrived = files.stat(target, dst)
    if arrived is None or (expected and not _copied(arrived, expected)):
        return False
    make_durable(target, dst)
    make_absence_durable(source, src)
    return True


def _rename(source: Root, src: str, target: Root, dst: str, there: FileStat) -> Moved:
    with (
        parent(source, src) as (old, name),
        parent(target, dst, create=True) as (new, wanted),
    ):
        rename_without_replacing(old, name, new, wanted)
        moved = files.to_stat(os.stat(wanted, dir_fd=new, follow_symlinks=False))
        if moved != there:
            # A person was quicker with another version: it is a new drop.
            rename_without_replacing(new, wanted, old, name)
            return Moved(Outcome.REPLACED)
        sync_folder(new)
        sync_folder(old)
    return Moved(Outcome.MOVED, moved)


def _copied(one: FileStat, other: FileStat) -> bool:
    # A copy across file systems has another inode; size and mtime go along.
    return one.size == other.size and abs(one.mtime_ns - other.mtime_ns) < _COARSE_NS


def _resume_copy(source: Root, src: str, target: Root, dst: str) -> Moved:
    """The destination exists: is it our own copy, cut off before the source was removed?"""
    here, there = files.stat(source, src), files.stat(target, dst)
    if here and there and _copied(here, there) and _identical(source, src, target, dst):
        make_durable(target, dst)
        files.delete(source, src, here)
        return Moved(Outcome.MOVED, there)
    return Moved(Outcome.TAKEN)


def _identical(source: Root, src: str, target: Root, dst: str) -> bool:
    content = files.sha256(source, src)
    return content is not None and content == files.sha256(target, dst)


def _copy(source: Root, src: str, target: Root, dst: str, there: FileStat, token: str) -> Moved:
    hidden = temporary(token)
    files.copy_to_temporary(source, src, there, target, hidden)
    stat = files.publish(target, hidden, dst)
    if stat is None:
        files.delete(target, hidden)
        return _resume_copy(source, src, target, dst)
    # The copy was read back; the source goes only if it still is what was copied.
    files.delete(source, src, there)
    return Moved(Outcome.MOVED, stat)
