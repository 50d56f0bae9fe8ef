"""Which file system a folder is on, from /proc/self/mountinfo (proc(5)), without touching it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_REMOTE = re.compile(
    r"^(nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|ncpfs|fuse(?!blk)\b.*"
    r"|virtiofs|vboxsf|vmhgfs|prl_fs|davfs|coda|orangefs|ocfs2|gfs2)$"
)


@dataclass(frozen=True)
class Mount:
    """One mount. point: its folder. kind: the file system's type. source: device or share.
    number: another one after each mounting."""

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
        if len(left) >= 5 and len(right) >= 2:
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


def read_mounts() -> list[Mount]:
    """The mounts of this process; empty where there is no /proc."""
    try:
        return parse_mountinfo(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    except OSError:
        return []
