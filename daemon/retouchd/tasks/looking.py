"""Tasks of the intake: set a folder up, list it, look at files, see whether trouble has passed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from retouchd import files
from retouchd.images import check_complete, read_header
from retouchd.listing import list_names
from retouchd.roots import establish, open_root
from retouchd.shared import SharedArray
from retouchd.tasks.values import Answer, Task, Values, root_of, stat_to_wire

_PROBE = ".retouchd-probe.tmp"
_PROBE_LEAST = 4096
_PROBE_MOST = 256 << 20


def set_up(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Make a root and its marker. values: lane, role, path, known (its marker, if set up before).

    A known root is only checked: a folder that is missing now was there before, so it is a share
    that is not mounted, and making it would hide that. Raises RootLost.
    """
    ref = values["known"] and root_of(values["known"])
    if ref:
        with open_root(ref):
            return asdict(ref), []
    return asdict(establish(values["lane"], values["role"], values["path"])), []


def scan(values: Values, _: Sequence[SharedArray]) -> Answer:
    """List an inbox. values: root, ignore, excluded. Gives names as [path, inode, plain]."""
    with open_root(root_of(values["root"])) as root:
        found = list_names(root, values["ignore"], values["excluded"])
    # Once more: a share that went away in between must not look like an empty folder.
    with open_root(root_of(values["root"])):
        return {"names": [[f.path, f.inode, f.plain] for f in found]}, []


def look(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Stat files. values: root, paths. Gives stats in the same order, null for what is gone."""
    with open_root(root_of(values["root"])) as root:
        return {"stats": [stat_to_wire(files.stat(root, path)) for path in values["paths"]]}, []


def check(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See by header and tail whether a file is whole. values: root, path, max_bytes.

    Gives stat and decoded (estimated bytes in memory). Raises Truncated, NotAnImage, Unsupported,
    TooLarge, NotARegularFile or FileBusy.
    """
    with open_root(root_of(values["root"])) as root:
        shown = root.shown(values["path"])
        with files.open_drop(root, values["path"], values["max_bytes"]) as (fd, stat):
            with files.trouble(root, values["path"]), os.fdopen(os.dup(fd), "rb") as file:
                check_complete(file, stat.size, shown)
                file.seek(0)
                header = read_header(file, shown)
    channels = (1 if header.mode == "gray" else 3) + header.has_alpha
    deep = 2 if header.bit_depth > 8 else 1
    decoded = header.width * header.height * channels * deep
    return {"stat": stat_to_wire(stat), "decoded": decoded}, []


def probe(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See whether folders can be written. values: roots, needed (bytes, in the first root).

    Writes and deletes a hidden file of that size, because no quota shows in ``statvfs``. Raises
    what a job would meet: RootLost, ReadOnly, DiskFull, …
    """
    needed = min(max(values["needed"], _PROBE_LEAST), _PROBE_MOST)
    for wire in values["roots"]:
        with open_root(root_of(wire)) as root:
            files.write_temporary(root, _PROBE, bytes(needed))
            files.delete(root, _PROBE)
        needed = _PROBE_LEAST
    return {}, []


LOOKING: Mapping[str, Task] = {
    "set_up": set_up,
    "scan": scan,
    "look": look,
    "check": check,
    "probe": probe,
}
