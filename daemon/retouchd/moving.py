"""Moving an original out of the inbox: exactly once, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum

from retouchd import files
from retouchd.durable import make_absence_durable, make_durable
from retouchd.errors import FolderLocked, TransientError, from_os_error
from retouchd.job import FileStat
from retouchd.naming import temporary
from retouchd.renaming import rename_without_replacing
from retouchd.roots import Root, sync_folder
from retouchd.walking import parent, trouble

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
    source: Root,
    src: str,
    target: Root,
    dst: str,
    expected: FileStat | None,
    token: str,
    max_bytes: int | None = None,
) -> Moved:
    """Move ``src`` below ``source`` to ``dst`` below ``target``, never replacing a file.

    expected: the version to move; None moves whatever is there. token: names the temporary files
    of a copy across file systems, so it must be the same when the move is repeated, and no other
    move's. max_bytes: of a copy of a file with holes. Repeating a move that was cut off at any
    point completes it. Raises TransientError, and across file systems TooLarge and
    NotARegularFile.
    """
    there = files.stat(source, src)
    if there is None or (
        expected is not None and (there.size, there.mtime_ns) != (expected.size, expected.mtime_ns)
    ):
        if _arrived(source, src, target, dst, expected):
            files.delete(target, _claim(token))
            return Moved(Outcome.MOVED, files.stat(target, dst))
        return Moved(Outcome.GONE if there is None else Outcome.REPLACED)
    try:
        return _rename(source, src, target, dst, there)
    except FileExistsError:
        return _complete(source, src, target, dst, token)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise _refused(source, src, target, dst, error) from None
        if files.stat(target, dst):
            return _complete(source, src, target, dst, token)
        return _copy(source, src, target, dst, there, token, max_bytes)


def _refused(source: Root, src: str, target: Root, dst: str, error: OSError) -> TransientError:
    """What to say: a folder that people made often lets nobody else take files out of it."""
    if error.errno in (errno.EACCES, errno.EPERM):
        with contextlib.suppress(OSError), parent(source, src) as (old, _):
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=old, effective_ids=True):
                folder, cause = os.path.dirname(src), error.strerror
                return FolderLocked(path=source.shown(folder), cause=cause, folder=folder)
    return from_os_error(error, target.shown(dst))


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


def _complete(source: Root, src: str, target: Root, dst: str, token: str) -> Moved:
    """The name is taken: by this very move, cut off before the source was removed?

    Equal bytes and times prove nothing: another job's or a person's file can have them, too.
    """
    here, there = files.stat(source, src), files.stat(target, dst)
    if not (
        here and there and (_linked(source, here, target, there) or _claimed(target, dst, token))
    ):
        return Moved(Outcome.TAKEN)
    # The source goes only where its content is safe, whatever became of the copy meanwhile.
    if not (_copied(here, there) and _identical(source, src, target, dst)):
        return Moved(Outcome.TAKEN)
    make_durable(target, dst)
    files.delete(source, src, here)
    files.delete(target, _claim(token))
    return Moved(Outcome.MOVED, there)


def _linked(source: Root, here: FileStat, target: Root, there: FileStat) -> bool:
    """Whether both are one file: a hard link that stood in for a rename."""
    one_disk = os.fstat(source.fd).st_dev == os.fstat(target.fd).st_dev
    return one_disk and here.inode == there.inode


def _claim(token: str) -> str:
    """The note beside a finished copy that says which name it is about to get.

    A note without its copy means that the copy has got that name.
    """
    return temporary(f"{token}_to")


def _claimed(target: Root, dst: str, token: str) -> bool:
    noted = files.sha256(target, _claim(token)) == hashlib.sha256(os.fsencode(dst)).hexdigest()
    return noted and files.stat(target, temporary(token)) is None


def _identical(source: Root, src: str, target: Root, dst: str) -> bool:
    content = files.sha256(source, src)
    return content is not None and content == files.sha256(target, dst)


def _copy(
    source: Root,
    src: str,
    target: Root,
    dst: str,
    there: FileStat,
    token: str,
    max_bytes: int | None,
) -> Moved:
    hidden, claim = temporary(token), _claim(token)
    # Before the copy that it speaks of.
    files.delete(target, claim)
    files.copy_to_temporary(source, src, there, target, hidden, max_bytes)
    files.write_temporary(target, claim, os.fsencode(dst))
    with trouble(target, claim):
        sync_folder(target.fd)
    stat = files.publish(target, hidden, dst)
    if stat is None:
        files.delete(target, claim)
        files.delete(target, hidden)
        return Moved(Outcome.TAKEN)
    # The copy was read back; the source goes only if it still is what was copied.
    files.delete(source, src, there)
    files.delete(target, claim)
    return Moved(Outcome.MOVED, stat)
