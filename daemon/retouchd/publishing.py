"""Makes outputs visible: steps 3 to 5 of the crash order of docs/design.md, and their replay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from retouchd.clock import Clock
from retouchd.errors import FileBusy, IoTrouble
from retouchd.hands import Call, Hands
from retouchd.job import Drop, Job, Place, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.naming import NameFacts, expand, numbered, temporary
from retouchd.recording import folder_of_day, intend
from retouchd.tasks.values import Original, stat_of
from retouchd.worker import Product, Stopwatch

MOST_NAMES = 10_000


class Publishing:
    """Publishes temporary outputs. within: seconds that a share may take to answer."""

    def __init__(self, ledger: Ledger, hands: Hands, clock: Clock, within: float) -> None:
        self._ledger, self._hands, self._clock, self._within = ledger, hands, clock, within

    def temporary(self, job: Job) -> str:
        """The hidden name at the top of the outbox under which a job's output is written."""
        return temporary(f"{self._ledger.id}-{job.id}")

    def publish(
        self,
        job: Job,
        lane: LaneState,
        product: Product,
        originals: list[Original],
        watch: Stopwatch,
    ) -> Job:
        """Make a finished temporary output visible; returns the job as published.

        Raises FileBusy where an original is no longer the version that was worked on, or another
        TransientError, after which ``resume`` goes on.
        """
        path = self._output_path(job, lane, product.extension)
        self._ledger.note(
            job.id,
            now=self._clock.now(),
            output=path,
            output_sha256=product.sha256,
            output_size=product.size,
        )
        named = self._ledger.job(job.id) or job
        return self._rename(named, lane, self.temporary(job), originals, watch)

    def _output_path(self, job: Job, lane: LaneState, extension: str) -> str:
        folder, name = os.path.split(job.name)
        stem = os.path.splitext(name)[0]
        facts = NameFacts(
            date=self._clock.local(),
            relative_dir=folder,
            stem=stem,
            ext=extension,
            lane=lane.name,
            job=job.id,
        )
        return expand(lane.config.output.path, facts)

    def _rename(
        self,
        job: Job,
        lane: LaneState,
        hidden: str,
        originals: list[Original],
        watch: Stopwatch,
    ) -> Job:
        """Rename without replacing, under the first name that is free."""
        first = job.output or ""
        for number in range(MOST_NAMES):
            final = numbered(first, number)
            if number:
                self._ledger.note(job.id, now=self._clock.now(), output=final)
            with watch.stage("publish"):
                stat = self._try_name(lane, hidden, final, originals)
            if stat:
                current = self._ledger.job(job.id) or job
                return self._commit_published(current, stat, watch.stages)
        raise IoTrouble(path=first, cause=f"{MOST_NAMES} files have that name already")

    def _try_name(
        self, lane: LaneState, hidden: str, final: str, originals: list[Original]
    ) -> dict[str, int] | None:
        root = asdict(lane.root("outbox"))
        wires = [original.to_wire() for original in originals]
        try:
            answer = self._call(
                lane,
                "publish",
                final,
                root=root,
                temporary=hidden,
                final=final,
                originals=wires,
            )
        except FileBusy:
            self._call(lane, "discard", hidden, root=root, temporary=hidden)
            raise
        stat: dict[str, int] | None = answer["stat"]
        return stat

    def _commit_published(
        self, job: Job, wire: dict[str, int], timings: Mapping[str, float]
    ) -> Job:
        """The output is visible: hand it to retention, and say where the originals go."""
        now, stat = self._clock.now(), stat_of(wire)
        with self._ledger.transaction():
            self._ledger.change(
                job.id,
                State.PUBLISHED,
                now=now,
                completed_at=now,
                next_attempt_at=None,
                timings=dict(timings),
            )
            if job.output and stat:
                self._ledger.keep(
                    job=job.id,
                    lane=job.lane,
                    role="outputs",
                    path=job.output,
                    stat=stat,
                    completed_at=now,
                )
            intend(self._ledger, job, Place.ARCHIVE, folder_of_day(now))
        return self._ledger.job(job.id) or job

    def resume(self, job: Job, lane: LaneState) -> Job | None:
        """Complete a publication that a crash cut off; None if the work has to be done again."""
        hidden = self.temporary(job)
        outbox = lane.root("outbox")
        if job.output is None or job.output_sha256 is None:
            self._call(lane, "discard", hidden, root=asdict(outbox), temporary=hidden)
            return None
        answer = self._call(
            lane,
            "resume",
            job.output,
            root=asdict(outbox),
            temporary=hidden,
            final=job.output,
            sha256=job.output_sha256,
        )
        others = [
            other
            for other in self._ledger.holding(lane.name, "outbox", job.output)
            if other.id != job.id and other.state in (State.PUBLISHED, State.DONE)
        ]
        # A twin of this job may have published the same bytes under the same name.
        if answer["reached"] == "published" and not others:
            return self._commit_published(job, answer["stat"], job.timings)
        if answer["reached"] == "written":
            originals = [original(drop, lane) for drop in job.drops if drop.stat]
            return self._rename(job, lane, hidden, originals, Stopwatch(dict(job.timings)))
        return None

    def _call(self, lane: LaneState, task: str, subject: str, **arguments: Any) -> dict[str, Any]:
        call = Call(task, lane.name, subject, self._within, arguments)
        result, _ = self._hands.call(call)
        return result


def original(drop: Drop, lane: LaneState) -> Original:
    """Where a settled drop lies, and which version is meant; raises FileBusy if none is."""
    if drop.stat is None:
        raise FileBusy(path=drop.path)
    return Original(lane.root(drop.place), drop.where, drop.stat)
