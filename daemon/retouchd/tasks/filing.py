"""Tasks that make results visible, file originals away and prune."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from itertools import islice

from retouchd import files
from retouchd.durable import make_absence_durable, make_durable
from retouchd.errors import FileBusy, IoTrouble
from retouchd.moving import Outcome, move
from retouchd.naming import NEW_MARKER, OUR_PREFIX, PROBE, job_of_temporary
from retouchd.roots import open_root
from retouchd.shared import SharedArray
from retouchd.tasks.values import (
    Answer,
    Task,
    Values,
    original_of,
    root_of,
    stat_of,
    stat_to_wire,
)
from retouchd.walking import trouble

_MOST_NAMES = 100_000
_PASSING = tuple(f"{OUR_PREFIX}{token}-" for token in (PROBE, NEW_MARKER))
"""Hidden files that are of use for a moment only, whoever wrote them."""


def publish(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Rename a temporary output to its final name. values: root, temporary, final, originals.

    Raises FileBusy where an original is no longer the version that was worked on. Gives stat,
    null where the name is taken.
    """
    for wire in values["originals"]:
        original = original_of(wire)
        with open_root(original.root) as root:
            if files.stat(root, original.path) != original.stat:
                raise FileBusy(path=root.shown(original.path))
    with open_root(root_of(values["root"])) as root:
        stat = files.publish(root, values["temporary"], values["final"])
    return {"stat": stat_to_wire(stat)}, []


def resume(values: Values, _: Sequence[SharedArray]) -> Answer:
    """See how far a publication came. values: root, temporary, final, sha256.

    Gives reached: ``published`` (with stat), ``written`` (rename it), or ``nothing``.
    """
    with open_root(root_of(values["root"])) as root:
        hidden, final = values["temporary"], values["final"]
        waiting, visible = files.stat(root, hidden), files.stat(root, final)
        # Two names of one inode: a hard link stood in for the rename, and was cut in the middle.
        if waiting and visible and waiting.inode == visible.inode:
            files.delete(root, hidden)
            waiting = None
        if waiting and files.sha256(root, hidden) == values["sha256"]:
            return {"reached": "written", "stat": None}, []
        if not waiting and visible and files.sha256(root, final) == values["sha256"]:
            make_durable(root, final)
            return {"reached": "published", "stat": stat_to_wire(visible)}, []
        files.delete(root, hidden)
        return {"reached": "nothing", "stat": None}, []


def discard(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Delete temporary outputs. values: root, temporaries."""
    with open_root(root_of(values["root"])) as root:
        for temporary in values["temporaries"]:
            files.delete(root, temporary)
    return {}, []


def sweep(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Delete what earlier runs left half written. values: root, ledger, keep.

    ledger: its name; keep: jobs that still need their temporary files. Gives swept (names).
    """
    with open_root(root_of(values["root"])) as root:
        with trouble(root, ""), os.scandir(root.fd) as entries:
            # Where outputs lie at the top, there may be millions.
            names = [entry.name for entry in islice(entries, _MOST_NAMES)]
        writers = {name: job_of_temporary(name, values["ledger"]) for name in names}
        left = [n for n, job in writers.items() if job is not None and job not in values["keep"]]
        left += [name for name in names if name.startswith(_PASSING)]
        return {"swept": [name for name in left if files.delete(root, name)]}, []


def relocate(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Move an original. values: source, path, target, where, stat, token, max_bytes (of a copy).

    Gives outcome (see ``moving.Outcome``) and stat.
    """
    with (
        open_root(root_of(values["source"])) as source,
        open_root(root_of(values["target"])) as target,
    ):
        moved = move(
            source,
            values["path"],
            target,
            values["where"],
            stat_of(values["stat"]),
            values["token"],
            values["max_bytes"],
        )
        # Folders in the inbox belong to people, who may be about to fill them again.
        if moved.outcome is Outcome.MOVED and source.ref.role != "inbox":
            files.remove_empty_folders(source, values["path"])
    return {"outcome": moved.outcome, "stat": stat_to_wire(moved.stat)}, []


def explain(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Write the text beside a quarantined original. values: root, path, temporary, text.

    Gives stat, null where the name belongs to another text.
    """
    data = values["text"].encode()
    with open_root(root_of(values["root"])) as root:
        sha256 = files.write_temporary(root, values["temporary"], data)
        stat = files.publish(root, values["temporary"], values["path"])
        if stat is None:
            files.delete(root, values["temporary"])
            if files.sha256(root, values["path"]) == sha256:
                stat = files.stat(root, values["path"])
    return {"stat": stat_to_wire(stat)}, []


def copy_output(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Copy an earlier output for a duplicate. values: root, path, sha256, temporary.

    Gives sha256 and size. Raises IoTrouble where the earlier output is not there unchanged.
    """
    with open_root(root_of(values["root"])) as root:
        stat = files.stat(root, values["path"])
        data = files.read_drop(root, values["path"], stat.size, stat) if stat else b""
        sha256 = files.write_temporary(root, values["temporary"], data)
        if sha256 != values["sha256"]:
            files.delete(root, values["temporary"])
            raise IoTrouble(path=root.shown(values["path"]), cause="it is not what it was")
    return {"sha256": sha256, "size": len(data)}, []


def prune(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Delete files that are unchanged, durably, and the folders that this leaves empty. values:
    root, files (path, stat; or path, gone: only their folders are seen to), seconds.

    Gives deleted (bools) for the first of the files, as far as it came in about so many seconds,
    but at least for one. Repeating it completes what was cut off.
    """
    ends = time.monotonic() + values["seconds"]
    deleted, of_folder = [], {}
    with open_root(root_of(values["root"])) as root:
        for wire in values["files"]:
            path = wire["path"]
            ours = not wire.get("gone") and files.delete(
                root, path, stat_of(wire["stat"]), durably=False
            )
            deleted.append(ours)
            of_folder[os.path.dirname(path)] = path
            if time.monotonic() > ends:
                break
        for path in of_folder.values():
            # Also for what was gone: an earlier try may have ended right after it.
            make_absence_durable(root, path)
            files.remove_empty_folders(root, path)
    return {"deleted": deleted}, []


def free(values: Values, _: Sequence[SharedArray]) -> Answer:
    """Free bytes on a root's file system, and which that is. values: root. Gives free, device."""
    with open_root(root_of(values["root"])) as root:
        return {"free": files.free_bytes(root), "device": os.fstat(root.fd).st_dev}, []


FILING: Mapping[str, Task] = {
    "publish": publish,
    "resume": resume,
    "discard": discard,
    "sweep": sweep,
    "relocate": relocate,
    "explain": explain,
    "copy_output": copy_output,
    "prune": prune,
    "free": free,
}
