"""A lane's folder, held by a directory descriptor and known again by its marker file.

A share that vanished leaves an empty folder behind, and whatever is written there lands on the
wrong disk. So every piece of work opens its root anew, checks the marker and then speaks only
relative to the descriptor, which stays on the file system that was checked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from retouchd.errors import RootLost, from_os_error
from retouchd.naming import NEW_MARKER, temporary
from retouchd.renaming import rename_without_replacing

MARKER = ".retouchd-root"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class RootRef:
    """Names a root in messages. marker: the content that its marker file must have."""

    lane: str
    role: str
    path: str
    marker: str


@dataclass(frozen=True)
class Root:
    """An open root. fd: its directory descriptor, valid inside ``open_root``."""

    ref: RootRef
    fd: int

    def shown(self, relative: str) -> str:
        """The absolute path, for messages."""
        return os.path.join(self.ref.path, relative)


@contextmanager
def open_root(ref: RootRef) -> Iterator[Root]:
    """Open a root and check its marker; raises RootLost or another TransientError."""
    try:
        fd = os.open(ref.path, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise RootLost(path=ref.path, cause="it is not there", lane=ref.lane) from None
    except OSError as error:
        raise from_os_error(error, ref.path) from None
    try:
        _check_marker(fd, ref)
        yield Root(ref, fd)
    finally:
        os.close(fd)


def _check_marker(fd: int, ref: RootRef) -> None:
    found = read_marker(fd, ref.path)
    if found is None:
        cause = "it has no marker, so the share is not mounted or was replaced"
        raise RootLost(path=ref.path, cause=cause, lane=ref.lane)
    if found != ref.marker:
        cause = "it has another folder's marker, so something else is mounted there"
        raise RootLost(path=ref.path, cause=cause, lane=ref.lane)


def read_marker(fd: int, path: str) -> str | None:
    """The content of the marker file in the directory ``fd``, None where there is none."""
    try:
        marker = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_os_error(error, os.path.join(path, MARKER)) from None
    try:
        return os.read(marker, 200).decode(errors="replace").strip()
    except OSError as error:
        raise from_os_error(error, os.path.join(path, MARKER)) from None
    finally:
        os.close(marker)


def establish(lane: str, role: str, path: str) -> RootRef:
    """Set a root up for the first time: make the folder, write its marker, or adopt the one there.

    Raises ReadOnly, DiskFull or RootLost.
    """
    try:
        os.makedirs(path, exist_ok=True)
        fd = os.open(path, _DIRECTORY)
    except OSError as error:
        raise from_os_error(error, path) from None
    try:
        found = read_marker(fd, path)
        marker = found or _write_marker(fd, path, replace=found is not None)
        return RootRef(lane, role, path, marker)
    finally:
        os.close(fd)


def sync_folder(fd: int) -> None:
    """Make the names in the folder ``fd`` durable; some network file systems can't and say so."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def _write_marker(fd: int, path: str, *, replace: bool) -> str:
    """replace: an empty marker is there. Otherwise whoever writes first wins, because lanes may
    share a folder and are set up at the same time."""
    marker = uuid.uuid4().hex
    # Written whole under another name first: a marker cut short would lose the lane.
    hidden = temporary(f"{NEW_MARKER}-{marker}")
    try:
        out = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=fd)
        with contextlib.closing(os.fdopen(out, "wb")) as file:
            file.write(marker.encode() + b"\n")
            file.flush()
            os.fsync(out)
        if replace:
            os.rename(hidden, MARKER, src_dir_fd=fd, dst_dir_fd=fd)
        else:
            rename_without_replacing(fd, hidden, fd, MARKER)
        sync_folder(fd)
    except FileExistsError:
        os.unlink(hidden, dir_fd=fd)
        return read_marker(fd, path) or _write_marker(fd, path, replace=True)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(hidden, dir_fd=fd)
        raise from_os_error(error, os.path.join(path, MARKER)) from None
    return marker
