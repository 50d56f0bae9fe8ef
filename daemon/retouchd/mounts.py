"""Which file system a folder is on, from /proc/self/mountinfo (proc(5)), without touching it."""

from __future__ import annotations

import contextlib
import os
import re
import select
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_REMOTE = re.compile(
    r"^(nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|ncpfs|fuse(?!blk)\b.*"
    r"|virtiofs|vboxsf|vmhgfs|prl_fs|davfs|coda|orangefs|ocfs2|gfs2)$"
)


@dataclass(frozen=True)
class Mount:
    """One mount. point: its folder. kind: the file system's type. source: device or share.

    number: no other mount has it as long as anybody uses this one.
    """

    point: str
    kind: str
    source: str
    number: int = 0

    @property
    def remote(self) -> bool:
        """Whether other hosts may write here, so that inotify does not see everything."""
        return bool(_REMOTE.match(self.kind))


def parse_mountinfo(text: str) -> list[Mount]:
    """The mounts that a mountinfo file lists, in its order (later ones lie on top)."""
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) >= 5 and len(right) >= 2 and left[0].isdigit():
            point, source = _unescape(left[4]), _unescape(right[1])
            mounts.append(Mount(point, right[0], source, int(left[0])))
    return mounts


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-3][0-7]{2})", lambda match: chr(int(match[1], 8)), text)


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that an absolute path lies on."""
    path = os.path.normpath(path)
    found: Mount | None = None
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


class MountChanges:
    """Tells when anything was mounted or unmounted (poll on mountinfo, see proc(5)).

    What is mounted again looks the same afterwards, down to its number.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._file: BinaryIO | None = None
        with contextlib.suppress(OSError):
            self._file = open("/proc/self/mountinfo", "rb")  # noqa: SIM115 (polled till the end)
            self._poll.register(self._file, select.POLLPRI)

    def seen(self) -> bool:
        """Whether something has changed since the last call; never waits."""
        return bool(self._file and self._poll.poll(0))

    def close(self) -> None:
        """Look no more."""
        if self._file:
            self._file.close()
            self._file = None


def read_mounts() -> list[Mount]:
    """The mounts of this process; empty where there is no /proc."""
    try:
        return parse_mountinfo(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    except OSError:
        return []
