"""Whose inbox it is: a note in the folder names the one service that works with it.

Two services on one inbox would do each photo twice and take away each other's originals. The lock
on the ledger keeps apart only those that share a ledger; this note keeps apart all that share an
inbox, on this machine or another.
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
from pathlib import Path
from typing import Any

from retouchd.errors import InboxTaken
from retouchd.naming import LOCK, NEW_MARKER, OWNER, temporary
from retouchd.renaming import rename_without_replacing
from retouchd.roots import Root, sync_folder
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
            if found is not None and not _is_gone(found, ours):
                break
            _write(root, ours, over=found)
    raise _taken(root, found)


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
        raise _taken(root, found)


def _taken(root: Root, by: Tenant | None) -> InboxTaken:
    return InboxTaken(path=root.ref.path, by=str(by), note=root.shown(OWNER))


def _is_gone(found: Tenant, ours: Tenant) -> bool:
    """Whether one surely does not run. A ledger that has moved keeps its inboxes, and so does a
    state folder whose ledger was begun anew: its lock is ours."""
    if found.machine != ours.machine:
        return found.ledger == ours.ledger
    return found.lock == ours.lock or not _is_locked(found.lock)


def _is_locked(path: str) -> bool:
    """Whether a process holds that lock; also where it can't be seen."""
    try:
        fd = os.open(path, _READ)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


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
