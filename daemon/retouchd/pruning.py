"""Carries out what ``retention`` decides, with the ledger as the only list of what may go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from retouchd.call import Call
from retouchd.config import Lane
from retouchd.errors import RootLost, Unexpected
from retouchd.hands import Hands
from retouchd.job import FileStat
from retouchd.ledger import KeptFile, Ledger
from retouchd.retention import ORDER, Decision, Kept, Role, Volume, decide_by_the_disk
from retouchd.roots import RootRef
from retouchd.tasks.values import stat_of, stat_to_wire

ROOTS: Mapping[str, str] = {
    "outputs": "outbox",
    "review": "review",
    "archive": "archive",
    "failed": "failed",
}
_BATCH = 200


@dataclass(frozen=True)
class Pruned:
    """What happened in one lane. freed: bytes. skipped: files that were gone or replaced."""

    lane: str
    decision: Decision
    deleted: int = 0
    freed: int = 0
    skipped: int = 0


class Pruning:
    """Prunes lanes. within: seconds a share may take to answer."""

    def __init__(self, ledger: Ledger, hands: Hands, within: float) -> None:
        self._ledger, self._hands, self._within = ledger, hands, within

    def decide(
        self,
        lane: Lane,
        now: float,
        *,
        force: bool = False,
        promised: Counter[int] | None = None,
    ) -> Decision:
        """What would be deleted; deletes nothing. Raises TransientError for a lost folder.

        promised: bytes by device that are about to be freed; what this lane frees is added. Lanes
        that share a disk, each counting by itself, would give up as much as all of them have to.
        """
        # A lane that makes cut-outs no longer has no folder review any more.
        files = {
            file.id: file
            for file in self._ledger.kept(lane.name)
            if ROOTS[file.role] in lane.folders
        }
        asked = promised is not None or lane.retention.min_free is not None
        volumes = [
            replace(volume, free=volume.free + promised[volume.device]) if promised else volume
            for volume in (self._volumes(lane) if asked else ())
        ]
        decision = decide_by_the_disk(
            [_to_kept(file) for file in files.values()],
            lane.retention,
            volumes,
            lambda some: self._missing(lane, [files[file.file_id] for file in some]),
            now=now,
            last_seen_now=self._ledger.clock_of(lane.name),
            newest_seen=self._ledger.newest_clock_of(lane.name),
            force=force,
        )
        if promised is not None:
            for volume in volumes:
                promised[volume.device] += sum(
                    dead.file.size for dead in decision.delete if dead.file.role in volume.roles
                )
        return decision

    def prune(self, lane: Lane, now: float, *, force: bool = False) -> Pruned:
        """Delete what is due. Raises TransientError; what was deleted by then is recorded."""
        return self.carry_out(lane, self.decide(lane, now, force=force), now, force=force)

    def carry_out(
        self, lane: Lane, decision: Decision, now: float, *, force: bool = False
    ) -> Pruned:
        """Delete what was decided; see ``prune``. force: a person says that the clock is right."""
        # What is gone has nothing to delete, but may leave folders empty.
        doomed = [dead.file for dead in decision.delete]
        done = self._delete_all(lane, decision.gone, gone=True) + self._delete_all(lane, doomed)
        if not decision.braked:
            self._ledger.set_clock(lane.name, now, believed=force)
        freed = [file.size for file, gone in done if gone]
        return Pruned(lane.name, decision, len(freed), sum(freed), len(done) - len(freed))

    def _delete_all(
        self, lane: Lane, files: Sequence[Kept], *, gone: bool = False
    ) -> list[tuple[KeptFile, bool]]:
        done: list[tuple[KeptFile, bool]] = []
        for role in ORDER:
            todo = [file.file_id for file in files if file.role == role]
            while todo:
                # Asked again each time: a person may want a job tried again that needs its files.
                part = sorted(
                    self._ledger.kept_still(todo[:_BATCH]), key=lambda file: todo.index(file.id)
                )
                part_done = self._delete(lane, ROOTS[role], part, gone=gone) if part else []
                todo = [file.id for file in part[len(part_done) :]] + todo[_BATCH:]
                done += part_done
        return done

    def _delete(
        self, lane: Lane, role: str, files: Sequence[KeptFile], *, gone: bool
    ) -> list[tuple[KeptFile, bool]]:
        """Delete files of one root, the first of them, as many as a part of the deadline allows;
        a file that was replaced is no longer ours either way."""
        root = self._root(lane, role)
        wires: list[dict[str, Any]] = [
            {"path": f.path, "gone": True}
            if gone
            else {"path": f.path, "stat": stat_to_wire(FileStat(f.size, f.mtime_ns, 0))}
            for f in files
        ]
        answer = self._call(lane, "prune", root, files=wires, seconds=self._within / 4)
        done = list(zip(files, answer["deleted"], strict=False))
        if not done:
            raise Unexpected(cause="a worker process that was to delete files did nothing")
        with self._ledger.transaction():
            for file, _ in done:
                self._ledger.forget_kept(file)
        return done

    def _missing(self, lane: Lane, files: Sequence[KeptFile]) -> Iterator[Kept]:
        """Those that are gone, or are other files now."""
        for role in ORDER:
            mine = [file for file in files if file.role == role]
            for start in range(0, len(mine), _BATCH):
                part = mine[start : start + _BATCH]
                paths = [file.path for file in part]
                answer = self._call(lane, "look", self._root(lane, ROOTS[role]), paths=paths)
                for file, wire in zip(part, answer["stats"], strict=True):
                    found = stat_of(wire)
                    if found is None or (found.size, found.mtime_ns) != (file.size, file.mtime_ns):
                        yield _to_kept(file)

    def _volumes(self, lane: Lane) -> list[Volume]:
        # Roles that share a file system share its free space: counted apart, each would give up
        # as much as all of them have to.
        roles = [role for role in ORDER if ROOTS[role] in lane.folders]
        answers = {role: self._call(lane, "free", self._root(lane, ROOTS[role])) for role in roles}
        by_device: dict[int, list[Role]] = {}
        for role, answer in answers.items():
            by_device.setdefault(answer["device"], []).append(role)
        return [
            Volume(frozenset(sharing), min(answers[role]["free"] for role in sharing), device)
            for device, sharing in by_device.items()
        ]

    def _root(self, lane: Lane, role: str) -> RootRef:
        row = self._ledger.root(lane.name, role)
        path = str(lane.folders[role])
        if row is None or row.path != path:
            raise RootLost(path=path, cause="it was never set up", lane=lane.name)
        return RootRef(row.lane, row.role, row.path, row.marker)

    def _call(self, lane: Lane, task: str, root: RootRef, **arguments: Any) -> dict[str, Any]:
        values = {"root": asdict(root), **arguments}
        result, _ = self._hands.call(Call(task, lane.name, root.path, self._within, values))
        return result


def _to_kept(file: KeptFile) -> Kept:
    return Kept(
        file_id=file.id,
        lane=file.lane,
        role=file.role,  # type: ignore[arg-type]
        path=file.path,
        size=file.size,
        completed_at=file.completed_at,
        job=file.job,
    )
