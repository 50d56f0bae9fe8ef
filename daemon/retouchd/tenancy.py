"""Whose inbox it is: a note in the folder names the one service that works with it.

Two services on one inbox would do each photo twice and take away each other's originals. The lock
on the ledger keeps apart only those that share a ledger; this note keeps apart all that share an
inbox, on this machine or another.

The note of a service on another machine is never taken over because it is old. A machine that lost
the network, or was suspended, comes back after any time, and does what it was about to do: no file
server of ours could keep its late writes out. Only a person knows that it will not come back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from retouchd.errors import InboxTaken
from retouchd.naming import LOCK, NEW_MARKER, OWNER, temporary
from retouchd.renaming import rename_without_replacing
from retouchd.roots import Root, RootRef, sync_folder
from retouchd.walking import trouble

_MACHINE = Path("/etc/machine-id")
_LONGEST = 10_000
_TRIES = 5
_WAITS, _WAIT = 40, 0.05
"""How often, and how many seconds each time, somebody else is waited for who looks as well."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Tenant:
    """A service. ledger: that ledger's id. machine: tells hosts apart, and host is what people call
    it. lock: the absolute path of a file that is locked for as long as it runs."""

    ledger: str
    machine: str
    host: str
    lock: str

    @property
    def wire(self) -> dict[str, str]:
        """As plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"the one on {self.host} with the state folder {os.path.dirname(self.lock)}"


def here(ledger: str, lock: Path) -> Tenant:
    """The service that this process is."""
    host = os.uname().nodename
    try:
        machine = _MACHINE.read_text(encoding="ascii").strip() or host
    except (OSError, UnicodeDecodeError):
        machine = host
    # machine-id(5): it shall not be shown to others as it is.
    digest = hashlib.sha256(f"retouchd {machine}".encode()).hexdigest()
    return Tenant(ledger, digest[:16], host, os.path.abspath(lock))


def occupy(root: Root, ours: Tenant) -> None:
    """Write our note, where nobody's is or that of one who is gone.

    Raises InboxTaken where another service works with this folder, or may do so; and other
    TransientErrors.
    """
    with _alone(root.fd):
        for _ in range(_TRIES):
            found = _tenant_of(root)
            if found == ours:
                return
            if found is not None and _see(found, ours) is not _Seen.ENDED:
                break
            _write(root, ours, over=found)
    raise _taken(root, found, ours)


@contextmanager
def _alone(fd: int) -> Iterator[None]:
    """Nobody else looks and writes in between, where the file system has locks. Where it has none,
    two that succeed a third at the same moment find out by ``check_ours``."""
    for _ in range(_WAITS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_WAIT)
        except OSError:
            break
        else:
            break
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def check_ours(root: Root, ours: Tenant) -> None:
    """Raise InboxTaken where another has come in between, and other TransientErrors."""
    found = _tenant_of(root)
    if found not in (None, ours):
        raise _taken(root, found, ours)


def look_ahead(path: str, ours: Tenant) -> None:
    """Raise InboxTaken where the folder at ``path`` has the note of another service that may run.

    Nothing is changed; a folder that is not there, or not ours, is left to ``occupy``.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        root = Root(RootRef("", "inbox", path, ""), fd)
        found = _tenant_of(root)
        if found and found != ours and _see(found, ours) is not _Seen.ENDED:
            raise _taken(root, found, ours)
    finally:
        os.close(fd)


class _Seen(Enum):
    """What can be seen of another service: words for it, and what to do about it."""

    RUNS = "it is running", "Stop that one, or give this one folders of its own."
    ENDED = "it has ended meanwhile", "Nothing to do."
    UNKNOWN = (
        "whether it still runs can't be seen from here",
        "If that one is to keep the inbox, give this one folders of its own. If not, stop it, or "
        "make sure that it is gone for good, and then delete that note; while both work, they do "
        "each photo twice and take away each other's originals.",
    )


def _taken(root: Root, by: Tenant | None, ours: Tenant) -> InboxTaken:
    seen, fix = (_see(by, ours) if by else _Seen.UNKNOWN).value
    whose = f"{by or 'one that came at this moment'}{_since(root)}"
    note = root.shown(OWNER)
    return InboxTaken(
        path=root.ref.path, by=f"{whose} (so says {note})", note=note, seen=seen, fix=fix
    )


def _since(root: Root) -> str:
    """When the note was written, by the clock of whoever keeps the folder."""
    try:
        written = os.stat(OWNER, dir_fd=root.fd, follow_symlinks=False).st_mtime
        return f", since {datetime.fromtimestamp(written).astimezone():%Y-%m-%d %H:%M}"
    except (OSError, OverflowError, ValueError):
        return ""


def _see(found: Tenant, ours: Tenant) -> _Seen:
    """A ledger that has moved keeps its inboxes, and so does a state folder whose ledger was begun
    anew: its lock is ours."""
    if found.machine != ours.machine:
        return _Seen.ENDED if found.ledger == ours.ledger else _Seen.UNKNOWN
    return _Seen.ENDED if found.lock == ours.lock else _see_lock(found.lock)


def _see_lock(path: str) -> _Seen:
    """Whether a process holds that lock."""
    try:
        fd = os.open(path, _READ)
    except (FileNotFoundError, NotADirectoryError):
        return _Seen.ENDED
    except OSError:
        return _Seen.UNKNOWN
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Seen.RUNS
    except OSError:
        return _Seen.UNKNOWN
    finally:
        os.close(fd)
    return _Seen.ENDED


def _tenant_of(root: Root) -> Tenant | None:
    """Who has written the note; None where there is none, or one that says nothing."""
    try:
        with trouble(root, OWNER):
            try:
                fd = os.open(OWNER, _READ, dir_fd=root.fd)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP):
                    return None
                raise
            with os.fdopen(fd, "rb") as file:
                return _tenant_from(json.loads(file.read(_LONGEST)))
    except (ValueError, RecursionError):
        return None


def _tenant_from(values: Any) -> Tenant | None:
    names = Tenant.__dataclass_fields__
    if not isinstance(values, dict) or set(values) != set(names):
        return None
    if not all(isinstance(values[name], str) for name in names):
        return None
    # Whoever may drop files may write such a note: it must not have us open what it likes.
    named_so = os.path.basename(values["lock"]) == LOCK and os.path.isabs(values["lock"])
    return Tenant(**values) if named_so and "\0" not in values["lock"] else None


def _write(root: Root, ours: Tenant, over: Tenant | None) -> None:
    """Put our note there; where there was none, whoever is first wins."""
    hidden = temporary(f"{NEW_MARKER}-{uuid.uuid4().hex}")
    with trouble(root, OWNER):
        out = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=root.fd)
        try:
            with os.fdopen(out, "wb") as file:
                file.write(json.dumps(ours.wire).encode() + b"\n")
                file.flush()
                os.fsync(out)
            _put(root, hidden, over)
        except BaseException:
            os.unlink(hidden, dir_fd=root.fd)
            raise
        sync_folder(root.fd)


def _put(root: Root, hidden: str, over: Tenant | None) -> None:
    if over is None:
        try:
            rename_without_replacing(root.fd, hidden, root.fd, OWNER)
            return
        except FileExistsError:
            if _tenant_of(root) is not None:
                os.unlink(hidden, dir_fd=root.fd)
                return
    os.rename(hidden, OWNER, src_dir_fd=root.fd, dst_dir_fd=root.fd)
