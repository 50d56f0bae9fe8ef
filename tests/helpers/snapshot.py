"""Everything that lies below a folder, so that two moments can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

Entry = tuple[object, ...]
Snapshot = dict[str, Entry]


def snapshot(top: Path) -> Snapshot:
    """By path relative to ``top``: kind and mode, owner, links, size, times and content. Of folders
    only kind and mode: their times change with what is in them."""
    return {os.path.relpath(path, top): _entry(path) for path in _below(str(top))}


def _below(top: str) -> list[str]:
    return [
        os.path.join(folder, name)
        for folder, folders, files in os.walk(top)
        for name in [*folders, *files]
    ]


def _entry(path: str) -> Entry:
    found = os.lstat(path)
    if stat.S_ISDIR(found.st_mode):
        return (found.st_mode,)
    plain = (found.st_mode, found.st_uid, found.st_nlink, found.st_size, found.st_mtime_ns)
    if stat.S_ISLNK(found.st_mode):
        return (*plain, os.readlink(path))
    if stat.S_ISREG(found.st_mode) and found.st_size < 1 << 26:
        return (*plain, hashlib.sha256(Path(path).read_bytes()).hexdigest())
    return plain
