"""Files a job's originals away: into the archive, or into quarantine with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from typing import Any

from retouchd.call import Call
from retouchd.clock import Clock
from retouchd.explaining import error_text
from retouchd.hands import Hands
from retouchd.job import UNTROUBLED, Drop, FileStat, Job, Place, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.moving import Outcome
from retouchd.naming import numbered, temporary
from retouchd.tasks.values import stat_of, stat_to_wire


class Filing:
    """Moves what the ledger says is to be moved.

    within: seconds a share may take to answer. replaced: called with a lane's name and files that
    a person replaced before they could be moved: new drops.
    """

    def __init__(
        self,
        ledger: Ledger,
        hands: Hands,
        clock: Clock,
        within: float,
        *,
        replaced: Callable[[str, list[str]], None] = lambda lane, paths: None,
    ) -> None:
        self._ledger, self._hands, self._clock, self._within = ledger, hands, clock, within
        self._replaced = replaced

    def file(self, job: Job, lane: LaneState) -> State:
        """Move the originals of a published or quarantined job; returns its final state.

        Raises TransientError; repeating it completes what was cut off.
        """
        for drop in job.drops:
            if drop.next_place and drop.next_where:
                self._move(job, drop, lane)
        job = self._ledger.job(job.id) or job
        if job.state is State.PUBLISHED:
            self._retire(job, lane)
            self._ledger.change(job.id, State.DONE, now=self._clock.now(), **UNTROUBLED)
            return State.DONE
        if job.state is not State.QUARANTINED:
            return job.state  # A person was quick to ask for another try.
        if job.error_file is None:
            self._keep_again(job, lane)
            self._explain(job, lane)
        return State.QUARANTINED

    def _keep_again(self, job: Job, lane: LaneState) -> None:
        """Originals that were tried again where they lay were taken back from retention."""
        lying = [drop for drop in job.drops if drop.place is Place.FAILED]
        for drop in lying:
            if self._ledger.keeper(job.lane, "failed", drop.where) is None and (
                stat := drop.stat or self._stat(drop, lane)
            ):
                self._keep(job, "failed", drop.where, stat)

    def _stat(self, drop: Drop, lane: LaneState) -> FileStat | None:
        root = asdict(lane.root(drop.place))
        answer = self._call(lane, "look", drop.where, root=root, paths=[drop.where])
        return stat_of(answer["stats"][0])

    def _retire(self, job: Job, lane: LaneState) -> None:
        """What an earlier try left for review has been seen to, if nobody has changed it."""
        if "review" not in lane.config.folders:
            return
        current = {job.output, *(one.path for one in job.companions)}
        for kept in self._ledger.kept_of(job.id, "review"):
            if job.output_role == "review" and kept.path in current:
                continue
            stat = FileStat(kept.size, kept.mtime_ns, 0)
            self._call(
                lane,
                "prune",
                kept.path,
                root=asdict(lane.root("review")),
                files=[{"path": kept.path, "stat": stat_to_wire(stat)}],
                seconds=0,
            )
            self._ledger.forget_kept(kept)

    def remove_text(self, job: Job, lane: LaneState) -> None:
        """Another try that a person asked for begins: the text about the failure is no longer
        true, and retention's time for the originals begins anew if it fails."""
        path = job.error_file or ""
        self._call(
            lane,
            "prune",
            path,
            root=asdict(lane.root("failed")),
            files=[{"path": path, "stat": None}],
            seconds=0,
        )
        with self._ledger.transaction():
            for where in (path, *(d.where for d in job.drops if d.place is Place.FAILED)):
                self._ledger.release_kept(job.lane, "failed", where)
            self._ledger.note(job.id, now=self._clock.now(), error_file=None)

    def leave(self, job: Job) -> None:
        """Give up moving: the originals stay where they are."""
        for drop in job.drops:
            if drop.next_place:
                self._ledger.moved(drop.id, drop.place, drop.where)

    def _move(self, job: Job, drop: Drop, lane: LaneState) -> None:
        first, place = drop.next_where or drop.where, drop.next_place or Place.ARCHIVE
        source, target = lane.root(drop.place), lane.root(place)
        for number in count():
            where = numbered(first, number)
            if self._ledger.keeper(job.lane, place, where) not in (None, job.id):
                continue  # However equal that file is, it is another job's.
            if number:
                self._ledger.intend_move(drop.id, place, where)
            answer = self._call(
                lane,
                "relocate",
                drop.where,
                source=asdict(source),
                path=drop.where,
                target=asdict(target),
                where=where,
                stat=stat_to_wire(drop.stat),
                token=f"{self._ledger.id}-{job.id}-{drop.id}",
                max_bytes=lane.config.limits.max_bytes,
            )
            if answer["outcome"] != Outcome.TAKEN:
                break
        self._record(job, drop, place, where, answer)

    def _record(
        self, job: Job, drop: Drop, place: Place, where: str, answer: dict[str, Any]
    ) -> None:
        stat = stat_of(answer["stat"])
        with self._ledger.transaction():
            if drop.place is Place.FAILED:
                self._ledger.release_kept(job.lane, "failed", drop.where)
            if answer["outcome"] == Outcome.MOVED and stat:
                self._ledger.moved(drop.id, place, where)
                self._keep(job, place.value, where, stat)
            else:
                self._ledger.moved(drop.id, Place.GONE, drop.where)
        if answer["outcome"] == Outcome.REPLACED and drop.place is Place.INBOX:
            self._replaced(job.lane, [drop.path])

    def _keep(self, job: Job, role: str, path: str, stat: FileStat) -> None:
        self._ledger.keep(
            job=job.id,
            lane=job.lane,
            role=role,
            path=path,
            stat=stat,
            completed_at=job.completed_at or self._clock.now(),
        )

    def _explain(self, job: Job, lane: LaneState) -> None:
        """Put the text beside the quarantined original."""
        moved = [drop for drop in job.drops if drop.place is Place.FAILED]
        # Of when it ended, not of now: written anew after a crash, it has to be the same text.
        text = error_text(job, lane.config.inbox, self._clock.local(job.completed_at))
        root = asdict(lane.root("failed"))
        first = f"{moved[0].where if moved else job.name}.error.txt"
        number = 0
        while True:
            path = numbered(first, number)
            answer = self._call(
                lane,
                "explain",
                path,
                root=root,
                path=path,
                temporary=temporary(f"{self._ledger.id}-{job.id}-text"),
                text=text,
            )
            stat = stat_of(answer["stat"])
            if stat:
                break
            number += 1
        with self._ledger.transaction():
            self._ledger.note(job.id, now=job.updated_at, error_file=path)
            self._keep(job, "failed", path, stat)

    def _call(self, lane: LaneState, task: str, subject: str, **arguments: Any) -> dict[str, Any]:
        call = Call(task, lane.name, subject, self._within, arguments)
        result, _ = self._hands.call(call)
        return result
