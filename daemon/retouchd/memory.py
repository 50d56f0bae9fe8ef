"""How much memory there is, and memory that was freed: the system's part in both."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath

_GROUPS = Path("/proc/self/cgroup")
_CONTROL = Path("/sys/fs/cgroup")


def there_is(groups: Path = _GROUPS, control: Path = _CONTROL) -> int:
    """Bytes of memory for this process and its children: the machine's, or what the control groups
    allow that they are in (a container's, or systemd's ``MemoryMax``), in version 1 or 2."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min((machine, *_limits(groups, control)))


def _limits(groups: Path, control: Path) -> Iterator[int]:
    """Of the group and of all around it."""
    with suppress(OSError, ValueError):
        for line in groups.read_text(encoding="utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds and "memory" not in kinds.split(","):
                continue
            top = control / "memory" if kinds else control
            name = "memory.limit_in_bytes" if kinds else "memory.max"
            # In a container the path may be the host's, and only the top is there.
            group = PurePath(path.lstrip("/"))
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):
                    yield int((top / folder / name).read_text(encoding="ascii"))


def give_back() -> None:
    """Return to the system what was freed, where the C library can (glibc).

    Weights are many blocks of a few megabytes. glibc keeps such for later once it has seen them
    freed, and LaMa's in float32 are 195 MiB that would never be asked for again.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
