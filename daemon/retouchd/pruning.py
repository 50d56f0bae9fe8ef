"""Carries out what ``retention`` decides, with the ledger as the only list of what may go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retouchd.call import Call
from retouchd.config import Lane
from retouchd.errors import RootLost, Unexpected
from retouchd.hands import Hands
from retouchd.job import FileStat
from retouchd.ledger import KeptFile, Ledger
from retouchd.retention import ORDER, Decision, Kept, Role, Volume, decide
from retouchd.roots import RootRef
from retouchd.tasks.values import stat_to_wire

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

    def decide(self, lane: Lane, now: float, *, force: bool = False) -> Decision:
        """What would be deleted; deletes nothing. Raises TransientError for a lost folder."""
        return decide(
            # A lane that makes cut-outs no longer has no folder review any more.
            [
                _to_kept(file)
                for file in self._ledger.kept(lane.name)
                if ROOTS[file.role] in lane.folders
            ],
            lane.retention,
            self._volumes(lane),
            now=now,
            last_seen_now=self._ledger.clock_of(lane.name),
            force=force,
        )

    def prune(self, lane: Lane, now: float, *, force: bool = False) -> Pruned:
        """Delete what is due. Raises TransientError; what was deleted by then is recorded."""
        return self.carry_out(lane, self.decide(lane, now, force=force), now)

    def carry_out(self, lane: Lane, decision: Decision, now: float) -> Pruned:
        """Delete what was decided; see ``prune``."""
        done: list[tuple[KeptFile, bool]] = []
        for role in ORDER:
            todo = [doomed.file.file_id for doomed in decision.delete if doomed.file.role == role]
            while todo:
                # Asked again each time: a person may want a job tried again that needs its files.
                part = sorted(
                    self._ledger.kept_still(todo[:_BATCH]), key=lambda file: todo.index(file.id)
                )
                part_done = self._delete(lane, ROOTS[role], part) if part else []
                todo = [file.id for file in part[len(part_done) :]] + todo[_BATCH:]
                done += part_done
        if not decision.braked:
            self._ledger.set_clock(lane.name, now)
        freed = [file.size for file, gone in done if gone]
        return Pruned(lane.name, decision, len(freed), sum(freed), len(done) - len(freed))

    def _delete(
        self, lane: Lane, role: str, files: Sequence[KeptFile]
    ) -> list[tuple[KeptFile, bool]]:
        """Delete files of one root, the first of them, as many as a part of the deadline allows;
        a file that was replaced is no longer ours either way."""
        root = self._root(lane, role)
        wires = [
            {"path": f.path, "stat": stat_to_wire(FileStat(f.size, f.mtime_ns, 0))} for f in files
        ]
        answer = self._call(lane, "prune", root, files=wires, seconds=self._within / 4)
        done = list(zip(files, answer["deleted"], strict=False))
        if not done:
            raise Unexpected(cause="a worker process that was to delete files did nothing")
        with self._ledger.transaction():
            for file, _ in done:
                self._ledger.forget_kept(file)
        return done

    def _volumes(self, lane: Lane) -> list[Volume]:
        if lane.retention.min_free is None:
            return []
        # Roles that share a file system share its free space: counted apart, each would give up
        # as much as all of them have to.
        roles = [role for role in ORDER if ROOTS[role] in lane.folders]
        answers = {role: self._call(lane, "free", self._root(lane, ROOTS[role])) for role in roles}
        by_device: dict[int, list[Role]] = {}
        for role, answer in answers.items():
            by_device.setdefault(answer["device"], []).append(role)
        return [
            Volume(frozenset(sharing), min(answers[role]["free"] for role in sharing))
            for sharing in by_device.values()
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
