"""Tasks of the intake: set a folder up, list it, look at files, see whether trouble has passed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice

from retouchd import files, tenancy
from retouchd.errors import TransientError
from retouchd.images import check_complete, read_header
from retouchd.listing import list_names
from retouchd.naming import PROBE, temporary
from retouchd.roots import Root, RootRef, establish, open_root, read_marker
from retouchd.shared import SharedArray
from retouchd.tasks.rights import become
from retouchd.tasks.values import Answer, Task, Values, root_of, stat_to_wire
from retouchd.walking import check_way, trouble

_PROBE_LEAST = 4096
_PROBE_MOST = 256 << 20
_COUNT_MOST = 500_000
_PROBE_BLOCK = 1 << 20


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


def occupy(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See that an inbox is nobody else's. values: root, tenant. Raises InboxTaken."""
    with open_root(root_of(values["root"])) as root:
        tenancy.occupy(root, tenancy.Tenant(**values["tenant"]))
    return {}, []


def look_ahead(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See, before it is set up, that an inbox is nobody else's. values: path, tenant. Raises
    InboxTaken."""
    tenancy.look_ahead(values["path"], tenancy.Tenant(**values["tenant"]))
    return {}, []


def scan(values: Values, _: Sequence[SharedArray]) -> Answer:
    """List an inbox. values: root, tenant (whose it should be), ignore, excluded.

    Gives names as [path, inode, plain], and the seconds that listing took, without any wait for a
    hand. Raises InboxTaken.
    """
    began = time.monotonic()
    with open_root(root_of(values["root"])) as root:
        tenancy.check_ours(root, tenancy.Tenant(**values["tenant"]))
        found = list_names(root, values["ignore"], values["excluded"])
    # Once more: a share that went away in between must not look like an empty folder.
    with open_root(root_of(values["root"])):
        took = time.monotonic() - began
        return {"names": [[f.path, f.inode, f.plain] for f in found], "seconds": took}, []


def look(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Stat files. values: root, paths. Gives stats in the same order, null for what is gone."""
    with open_root(root_of(values["root"])) as root:
        return {"stats": [stat_to_wire(files.stat(root, path)) for path in values["paths"]]}, []


def glance(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See that a root is the one that was set up, and that files can be put into a folder of it.
    values: root, folder. Raises RootLost or InTheWay.
    """
    with open_root(root_of(values["root"])) as root:
        check_way(root, values["folder"])
    return {}, []


def check(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See by header and tail whether a file is whole. values: root, path, max_bytes.

    Gives stat and decoded (estimated bytes in memory). Raises Truncated, NotAnImage, Unsupported,
    TooLarge, NotARegularFile or FileBusy.
    """
    with open_root(root_of(values["root"])) as root:
        shown = root.shown(values["path"])
        with (
            files.open_drop(root, values["path"], values["max_bytes"]) as (fd, stat),
            trouble(root, values["path"]),
            os.fdopen(os.dup(fd), "rb") as file,
        ):
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
            # Random, because a file system that compresses has room for any number of zeros.
            block = os.urandom(min(needed, _PROBE_BLOCK))
            # One name per lane: several may ask at once, and what one time could not be deleted
            # goes with the next.
            name = temporary(f"{PROBE}-{root.ref.lane}")
            files.write_temporary(root, name, (block * -(-needed // len(block)))[:needed])
            files.delete(root, name)
        needed = _PROBE_LEAST
    return {}, []


def inspect(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Try a folder out, set up or not. values: path, identity, count, tenant.

    identity: uid, gid and groups to try it as, for good (a hand of root's only), or null. count:
    whether to count the folders below. tenant: whose inbox it should be, or null. Gives exists;
    where it is false, parent (the nearest folder there is) and creatable; else marker, free
    (bytes), folders, and trouble: the error that the service would meet, or null. Raises what keeps
    the folder from being opened.
    """
    path = values["path"]
    become(values["identity"])
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        parent = _nearest(path)
        return {"exists": False, "parent": parent, "creatable": _can_make_in(parent)}, []
    try:
        root = Root(RootRef("", "", path, ""), fd)
        return {
            "exists": True,
            "marker": read_marker(fd, path),
            "free": files.free_bytes(root),
            "folders": _count_folders(path) if values["count"] else 0,
            "trouble": _trouble_taking(path, values["tenant"]) or _trouble_writing(root),
        }, []
    finally:
        os.close(fd)


def _nearest(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _can_make_in(parent: str) -> bool:
    """Only making one tells: by its permissions root may write in /proc."""
    trial = os.path.join(parent, temporary(f"trial-{os.getpid()}"))
    try:
        os.mkdir(trial)
        os.rmdir(trial)
    except OSError:
        return False
    return True


def _count_folders(path: str) -> int:
    # The top folder counts as well: each takes one inotify watch.
    return sum(1 for _ in islice(os.walk(path), _COUNT_MOST))


def _trouble_taking(path: str, tenant: Values | None) -> Values | None:
    try:
        if tenant:
            tenancy.look_ahead(path, tenancy.Tenant(**tenant))
    except TransientError as error:
        return error.to_wire()
    return None


def _trouble_writing(root: Root) -> Values | None:
    """Permissions on a share are the server's, so only writing tells."""
    name = f".retouchd-trial-{os.getpid()}.tmp"
    try:
        with trouble(root, ""), os.scandir(root.fd) as entries:
            next(entries, None)
        files.write_temporary(root, name, bytes(_PROBE_LEAST))
        files.delete(root, name)
    except TransientError as error:
        error.facts["path"] = root.ref.path
        return error.to_wire()
    return None


LOOKING: Mapping[str, Task] = {
    "set_up": set_up,
    "occupy": occupy,
    "look_ahead": look_ahead,
    "scan": scan,
    "look": look,
    "glance": glance,
    "check": check,
    "probe": probe,
    "inspect": inspect,
}
