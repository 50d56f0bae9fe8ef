"""Carries out what ``retention`` decides, with the ledger as the only list of what may go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retouchd.call import Call
from retouchd.config import Lane
from retouchd.errors import RetouchdError, RootLost, Unexpected
from retouchd.hands import Hands
from retouchd.job import FileStat
from retouchd.ledger import KeptFile, Ledger
from retouchd.retention import ORDER, Decision, Doomed, Kept, Role, Volume
from retouchd.roots import RootRef
from retouchd.space import Stock, decide_together
from retouchd.tasks.values import stat_of, stat_to_wire

ROOTS: Mapping[str, str] = {
    "outputs": "outbox",
    "review": "review",
    "archive": "archive",
    "failed": "failed",
}
_BATCH = 200


@dataclass(frozen=True)
class Plan:
    """What a lane's retention decided, or what kept it from that."""

    lane: Lane
    decision: Decision
    trouble: RetouchdError | None = None


@dataclass(frozen=True)
class Pruned:
    """What happened in one lane. files: deleted. freed: bytes. skipped: files that were gone or
    replaced. trouble: what kept it from more."""

    lane: Lane
    decision: Decision
    files: tuple[Doomed, ...] = ()
    freed: int = 0
    skipped: int = 0
    trouble: RetouchdError | None = None

    @property
    def deleted(self) -> int:
        """Number of files."""
        return len(self.files)

    def said(self) -> Iterator[dict[str, Any]]:
        """What to log of it."""
        lane = self.lane.name
        if self.trouble:
            cause = str(self.trouble)
            yield {"event": "prune trouble", "level": "warning", "lane": lane, "cause": cause}
            return
        if why := self.decision.braked:
            yield {"event": "prune braked", "level": "warning", "lane": lane, "why": why}
        for why in self.decision.short:
            yield {"event": "prune short", "level": "warning", "lane": lane, "why": why}
        for dead in self.files:
            file = f"{self.lane.folders[ROOTS[dead.file.role]]}/{dead.file.path}"
            yield {"event": "deleted", "lane": lane, "file": file, "why": dead.reason}
        if self.files:
            yield {"event": "pruned", "lane": lane, "files": self.deleted, "bytes": self.freed}


class Pruning:
    """Prunes lanes. within: seconds a share may take to answer."""

    def __init__(self, ledger: Ledger, hands: Hands, within: float) -> None:
        self._ledger, self._hands, self._within = ledger, hands, within

    def plan(self, lanes: Iterable[Lane], now: float, *, force: bool = False) -> list[Plan]:
        """What would be deleted of these lanes together; deletes nothing. One that has trouble
        keeps what it has, and the others don't count on it."""
        lanes, stocks = [*lanes], dict[str, Stock]()
        troubles = dict[str, RetouchdError]()
        limited = any(lane.retention.min_free is not None for lane in lanes)
        for lane in lanes:
            try:
                stocks[lane.name] = self._stock(lane, now, limited, troubles, force=force)
            except RetouchdError as error:
                troubles[lane.name] = error
        while True:
            asked = [name for name in stocks if name not in troubles]
            try:
                found = decide_together([stocks[name] for name in asked])
                break
            except RetouchdError:
                if not troubles.keys() & {*asked}:
                    raise
        decisions = dict(zip(asked, found, strict=True))
        return [
            Plan(lane, decisions.get(lane.name, Decision(())), troubles.get(lane.name))
            for lane in lanes
        ]

    def _stock(
        self,
        lane: Lane,
        now: float,
        limited: bool,
        troubles: dict[str, RetouchdError],
        *,
        force: bool,
    ) -> Stock:
        """limited: whether anybody wants to know of free space. troubles: is told who has some."""
        # A lane that makes cut-outs no longer has no folder review any more.
        files = {
            file.id: file
            for file in self._ledger.kept(lane.name)
            if ROOTS[file.role] in lane.folders
        }
        looked: dict[int, bool] = {}

        def missing(some: Sequence[Kept]) -> list[Kept]:
            # It is asked again when another lane has to decide anew.
            anew = [file.file_id for file in some if file.file_id not in looked]
            try:
                gone = {file.file_id for file in self._missing(lane, [files[n] for n in anew])}
            except RetouchdError as error:
                troubles[lane.name] = error
                raise
            looked.update({number: number in gone for number in anew})
            return [file for file in some if looked[file.file_id]]

        moment = {
            "now": now,
            "last_seen_now": self._ledger.clock_of(lane.name),
            "newest_seen": self._ledger.newest_clock_of(lane.name),
            "force": force,
        }
        volumes = self._volumes(lane) if limited else ()
        kept = [_to_kept(file) for file in files.values()]
        return Stock(kept, lane.retention, volumes, missing, moment)

    def decide(self, lane: Lane, now: float, *, force: bool = False) -> Decision:
        """What would be deleted of one lane alone. Raises TransientError for a lost folder."""
        [plan] = self.plan([lane], now, force=force)
        if plan.trouble:
            raise plan.trouble
        return plan.decision

    def prune(self, lane: Lane, now: float, *, force: bool = False) -> Pruned:
        """Delete what is due. Raises TransientError; what was deleted by then is recorded."""
        return self.carry_out(lane, self.decide(lane, now, force=force), now, force=force)

    def prune_all(self, lanes: Iterable[Lane], now: float) -> Iterator[Pruned]:
        """Delete what is due in all of them, one after the other."""
        for plan in self.plan(lanes, now):
            try:
                if plan.trouble:
                    raise plan.trouble
                yield self.carry_out(plan.lane, plan.decision, now)
            except RetouchdError as error:
                yield Pruned(plan.lane, plan.decision, trouble=error)

    def carry_out(
        self, lane: Lane, decision: Decision, now: float, *, force: bool = False
    ) -> Pruned:
        """Delete what was decided; see ``prune``. force: a person says that the clock is right."""
        # What is gone has nothing to delete, but may leave folders empty.
        doomed = [dead.file for dead in decision.delete]
        done = self._delete_all(lane, decision.gone, gone=True) + self._delete_all(lane, doomed)
        if not decision.braked:
            self._ledger.set_clock(lane.name, now, believed=force)
        freed = {file.id: file.size for file, deleted in done if deleted}
        files = tuple(dead for dead in decision.delete if dead.file.file_id in freed)
        return Pruned(lane, decision, files, sum(freed.values()), len(done) - len(freed))

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
