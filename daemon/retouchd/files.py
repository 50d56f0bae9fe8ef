"""Reading and writing below an open root: symlink-safe, atomic and durable."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat as modes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from retouchd.errors import (
    FileBusy,
    IoTrouble,
    LinkedElsewhere,
    NotARegularFile,
    OutputWrong,
    RetouchdError,
    TooLarge,
    from_os_error,
)
from retouchd.job import FileStat
from retouchd.renaming import rename_without_replacing
from retouchd.roots import Root, sync_folder
from retouchd.walking import parent, trouble

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_PART = 1 << 18


def to_stat(found: os.stat_result) -> FileStat:
    """What identifies a version."""
    return FileStat(found.st_size, found.st_mtime_ns, found.st_ino)


def stat(root: Root, relative: str) -> FileStat | None:
    """Size, mtime and inode of a file (links are not followed), None if it is not there."""
    try:
        with parent(root, relative) as (fd, name):
            return to_stat(os.stat(name, dir_fd=fd, follow_symlinks=False))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise from_os_error(error, root.shown(relative)) from None


@contextmanager
def open_drop(
    root: Root, relative: str, max_bytes: int | None = None
) -> Iterator[tuple[int, FileStat]]:
    """Open what a person dropped; yields the descriptor and the stat of the very file opened.

    Raises NotARegularFile, TooLarge, FileBusy (gone), IoTrouble (unreadable).
    """
    shown = root.shown(relative)
    try:
        with parent(root, relative) as (folder, name):
            fd = os.open(name, _READ, dir_fd=folder)
    except OSError as error:
        raise _cannot_open(error, shown) from None
    try:
        found = os.fstat(fd)
        _check(found, shown, max_bytes)
        yield fd, to_stat(found)
    finally:
        os.close(fd)


def _cannot_open(error: OSError, shown: str) -> RetouchdError:
    if error.errno == errno.ENOENT:
        return FileBusy(path=shown)
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV):
        return NotARegularFile(path=shown, cause="it is a link or a special file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return IoTrouble(path=shown, cause="the service user may not read it")
    return from_os_error(error, shown)


def _check(found: os.stat_result, shown: str, max_bytes: int | None) -> None:
    if not modes.S_ISREG(found.st_mode):
        raise NotARegularFile(path=shown, cause="it is a folder, a pipe or a device")
    if found.st_nlink > 1:
        raise LinkedElsewhere(path=shown)
    if max_bytes is not None and found.st_size > max_bytes:
        cause = f"{found.st_size} bytes, {max_bytes} are allowed"
        raise TooLarge(path=shown, cause=cause, limit="limits.max_bytes")


def read_drop(root: Root, relative: str, max_bytes: int, expected: FileStat) -> bytes:
    """The whole content of the version ``expected``; raises as ``drop_parts``."""
    return b"".join(drop_parts(root, relative, max_bytes, expected))


def drop_parts(root: Root, relative: str, max_bytes: int, expected: FileStat) -> Iterator[bytes]:
    """The content of the version ``expected``, part by part.

    Raises TooLarge, and FileBusy when the file is another version or changes while it is read.
    """
    shown = root.shown(relative)
    with open_drop(root, relative) as (fd, before), trouble(root, relative):
        if before != expected:
            raise FileBusy(path=shown)
        _check(os.fstat(fd), shown, max_bytes)
        done = 0
        for part in _chunks(fd, before.size):
            done += len(part)
            yield part
        if done != before.size or to_stat(os.fstat(fd)) != before:
            raise FileBusy(path=shown)


def _chunks(fd: int, size: int) -> Iterator[bytes]:
    """The content of a file that should have ``size`` bytes, and one byte more if there is one."""
    left = size + 1
    while left > 0 and (part := os.read(fd, min(left, _PART))):
        yield part
        left -= len(part)


def sha256_at(folder: int, name: str) -> str:
    """The content hash of a plain file; raises OSError."""
    fd = os.open(name, _READ, dir_fd=folder)
    try:
        if not modes.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ELOOP, "not a plain file")
        with os.fdopen(os.dup(fd), "rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        os.close(fd)


def sha256(root: Root, relative: str) -> str | None:
    """The content hash of a file below a root, None where no plain file is."""
    try:
        with parent(root, relative) as (folder, name):
            return sha256_at(folder, name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            return None
        raise from_os_error(error, root.shown(relative)) from None


def write_temporary(root: Root, relative: str, data: bytes) -> str:
    """Write a hidden temporary file, make it durable, read it back; returns its sha256.

    A leftover of the same name is ours and is replaced. Raises DiskFull, ReadOnly, OutputWrong, …
    """
    try:
        return _write_durably(root, relative, [data])
    except OSError as error:
        raise _cannot_write(error, root.shown(relative), len(data)) from None


def copy_to_temporary(
    source: Root,
    relative: str,
    expected: FileStat,
    target: Root,
    hidden: str,
    max_bytes: int | None = None,
) -> None:
    """Copy a drop of any size with its mtime into a hidden file below another root, durably.

    max_bytes: of a file with holes. Raises FileBusy when the drop is another version than
    ``expected`` or changes meanwhile, and TooLarge.
    """
    shown = source.shown(relative)
    with open_drop(source, relative) as (fd, before):
        if before != expected:
            raise FileBusy(path=shown)
        _check_holes(fd, shown, max_bytes)
        try:
            _write_durably(target, hidden, _chunks(fd, before.size), before.mtime_ns)
        except OSError as error:
            raise _cannot_write(error, target.shown(hidden), before.size) from None
        if to_stat(os.fstat(fd)) != before:
            delete(target, hidden)
            raise FileBusy(path=shown)


def _check_holes(fd: int, shown: str, max_bytes: int | None) -> None:
    """Whoever drops a terabyte of nothing must not fill another disk with zeros."""
    found = os.fstat(fd)
    if max_bytes is None or found.st_size <= max_bytes or found.st_blocks * 512 >= found.st_size:
        return
    cause = f"{found.st_size} bytes, most of them holes, and {max_bytes} are allowed"
    raise TooLarge(path=shown, cause=cause, limit="limits.max_bytes")


def _cannot_write(error: OSError, shown: str, needed: int) -> RetouchdError:
    mapped = from_os_error(error, shown)
    # How much has to be free before trying again makes sense.
    mapped.facts["needed"] = needed
    return mapped


def _write_durably(
    root: Root, relative: str, parts: Iterable[bytes], mtime_ns: int | None = None
) -> str:
    with parent(root, relative, create=True) as (folder, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o664, dir_fd=folder)
        try:
            with os.fdopen(fd, "wb") as file:
                wanted = hashlib.sha256()
                for part in parts:
                    wanted.update(part)
                    file.write(part)
                file.flush()
                if mtime_ns is not None:
                    os.utime(fd, ns=(mtime_ns, mtime_ns))
                os.fsync(fd)
            if sha256_at(folder, name) != wanted.hexdigest():
                raise OutputWrong(path=root.shown(relative), cause="it reads back differently")
            return wanted.hexdigest()
        except BaseException:
            # Space must not stay taken by what will never be published.
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise


def publish(root: Root, temporary: str, final: str) -> FileStat | None:
    """Give a durable temporary file its final name, durably.

    Returns its stat, or None where the name is taken: nothing is ever replaced.
    """
    with trouble(root, final), parent(root, final, create=True) as (folder, name):
        with parent(root, temporary) as (source, hidden):
            # Before the rename: whoever waits for outputs may take it away at once.
            found = os.stat(hidden, dir_fd=source, follow_symlinks=False)
            try:
                rename_without_replacing(source, hidden, folder, name)
            except FileExistsError:
                taken = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not os.path.samestat(found, taken):
                    return None
                # Our own hard link: the server's answer to it got lost, and it was asked again.
                os.unlink(hidden, dir_fd=source)
            sync_folder(folder)
        return to_stat(found)


def delete(
    root: Root, relative: str, expected: FileStat | None = None, *, durably: bool = True
) -> bool:
    """Delete a file. With ``expected`` only if size, mtime and inode (unless it is 0) still are the
    same.

    durably: write its folder through; False for who does that once for many. Returns whether it
    was deleted; False when it is not there or is another file.
    """
    try:
        with parent(root, relative) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            wanted = expected and replace(expected, inode=expected.inode or found.st_ino)
            if not modes.S_ISREG(found.st_mode) or (wanted and wanted != to_stat(found)):
                return False
            os.unlink(name, dir_fd=folder)
            if durably:
                sync_folder(folder)
            return True
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise from_os_error(error, root.shown(relative)) from None


def remove_empty_folders(root: Root, relative: str) -> None:
    """Remove the folders above ``relative`` that became empty, up to the root itself."""
    folders = relative.split("/")[:-1]
    while folders:
        try:
            with parent(root, "/".join(folders)) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except FileNotFoundError:
            pass  # By whoever was cut off before he came to the next.
        except OSError:
            return
        folders.pop()


def free_bytes(root: Root) -> int:
    """Bytes that an ordinary user may still write on the root's file system."""
    with trouble(root, ""):
        found = os.fstatvfs(root.fd)
    return found.f_bavail * found.f_frsize
