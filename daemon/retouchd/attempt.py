"""One attempt at one job: from the committed ``running`` to the committed ``published``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from retouchd.clock import Clock
from retouchd.errors import FileBusy, IoTrouble, Orphaned, RetouchdError
from retouchd.hands import Call, Hands
from retouchd.identity import work_key
from retouchd.job import Drop, Job, Place, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.naming import NameFacts, expand, numbered, temporary
from retouchd.recording import folder_of_day, intend
from retouchd.tasks.values import Original, stat_of
from retouchd.worker import Order, Prepared, Product, Stopwatch, Worker

MOST_NAMES = 10_000


class Attempt:
    """Runs attempts. model_sha256: tells a model's identity by its name.

    within: seconds that a share may take to answer a small task; the work gets ten times that.
    """

    def __init__(
        self,
        ledger: Ledger,
        hands: Hands,
        worker: Worker,
        clock: Clock,
        within: float,
        model_sha256: Callable[[str], str],
    ) -> None:
        self._ledger, self._hands, self._worker = ledger, hands, worker
        self._clock, self._within = clock, within
        self._model_sha256 = model_sha256

    def run(self, job: Job, lane: LaneState) -> Job:
        """Do the work and publish it; returns the job as published.

        Raises what the work raised; then nothing is visible, and no temporary file is left.
        """
        order = self._order(job, lane)
        watch = Stopwatch()
        try:
            with self._worker.prepared(order, watch) as prepared:
                product = self._product(job, lane, order, prepared, watch)
        except RetouchdError:
            self._discard(order, lane)
            raise
        return self._publish(job, lane, order, product, watch)

    def resume(self, job: Job, lane: LaneState) -> Job | None:
        """Complete a publication that a crash cut off; None if the work has to be done again."""
        hidden = self._temporary(job)
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
            originals = [_original(drop, lane) for drop in job.drops if drop.stat]
            return self._rename(job, lane, hidden, originals, Stopwatch(dict(job.timings)))
        return None

    def _order(self, job: Job, lane: LaneState) -> Order:
        job = self._refreshed(job, lane)
        image = job.image
        if image is None or (job.mask is None and job.source in ("mask", "folder_mask")):
            raise Orphaned(
                cause=f"Job {job.id} does not have both a photo and its mask",
                fix="Drop the photo and its mask into the inbox again, together.",
            )
        return Order(
            job=job.id,
            lane=lane.name,
            image=_original(image, lane),
            mask=_original(job.mask, lane) if job.mask else None,
            source=job.source,
            outbox=lane.root("outbox"),
            temporary=self._temporary(job),
            model=lane.config.model,
            settings=job.settings,
            decoded=image.decoded,
            within=10 * self._within,
        )

    def _refreshed(self, job: Job, lane: LaneState) -> Job:
        """Take originals in quarantine as they are now: a person may have mended them there."""
        for drop in job.drops:
            if drop.place is Place.FAILED and drop.stat is None:
                answer = self._call(
                    lane,
                    "look",
                    drop.where,
                    root=asdict(lane.root("failed")),
                    paths=[drop.where],
                )
                stat = stat_of(answer["stats"][0])
                if stat is None:
                    raise Orphaned(
                        cause=f"{drop.where} is no longer in the quarantine",
                        fix="Drop the photo and its mask into the inbox again.",
                    )
                self._ledger.set_stat(drop.id, stat, drop.decoded)
        return self._ledger.job(job.id) or job

    def _temporary(self, job: Job) -> str:
        return temporary(f"{self._ledger.id}-{job.id}")

    def _product(
        self, job: Job, lane: LaneState, order: Order, prepared: Prepared, watch: Stopwatch
    ) -> Product:
        sha256 = self._model_sha256(order.model)
        key = work_key(prepared.sha256, job.source, order.settings, sha256)
        earlier = self._ledger.duplicate(key, job.id)
        product = None
        if earlier and lane.config.output.duplicates == "reuse":
            product = self._reuse(earlier, lane, order)
        if product is None:
            product = self._worker.repair(order, prepared, watch)
        notes = (*prepared.facts["notes"], *product.notes)
        if earlier:
            notes = (*notes, f"the same work as job {earlier.id}")
        with self._ledger.transaction():
            self._ledger.set_sha256(_hashes(job, prepared))
            self._ledger.note(
                job.id,
                now=self._clock.now(),
                key=key,
                duplicate_of=earlier and earlier.id,
                model_sha256=sha256,
                notes=list(notes),
            )
        return product

    def _reuse(self, earlier: Job, lane: LaneState, order: Order) -> Product | None:
        if earlier.output is None or earlier.lane != lane.name:
            return None
        try:
            answer = self._call(
                lane,
                "copy_output",
                earlier.output,
                root=asdict(order.outbox),
                path=earlier.output,
                sha256=earlier.output_sha256,
                temporary=order.temporary,
            )
        except (IoTrouble, FileBusy):
            return None
        extension = os.path.splitext(earlier.output)[1]
        return Product(answer["sha256"], answer["size"], extension, ("reused",))

    def _publish(
        self, job: Job, lane: LaneState, order: Order, product: Product, watch: Stopwatch
    ) -> Job:
        path = self._output_path(job, lane, product.extension)
        self._ledger.note(
            job.id,
            now=self._clock.now(),
            output=path,
            output_sha256=product.sha256,
            output_size=product.size,
        )
        named = self._ledger.job(job.id) or job
        originals = [order.image, *([order.mask] if order.mask else [])]
        return self._rename(named, lane, order.temporary, originals, watch)

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

    def _discard(self, order: Order, lane: LaneState) -> None:
        """Take back what may have been written; what can't be now is done by ``resume``."""
        try:
            self._call(
                lane,
                "discard",
                order.temporary,
                root=asdict(order.outbox),
                temporary=order.temporary,
            )
        except RetouchdError:
            return

    def _call(self, lane: LaneState, task: str, subject: str, **arguments: Any) -> dict[str, Any]:
        call = Call(task, lane.name, subject, self._within, arguments)
        result, _ = self._hands.call(call)
        return result


def _original(drop: Drop, lane: LaneState) -> Original:
    if drop.stat is None:
        raise FileBusy(path=drop.path)
    return Original(lane.root(drop.place), drop.where, drop.stat)


def _hashes(job: Job, prepared: Prepared) -> dict[int, str]:
    found = {}
    for drop in job.drops:
        sha256 = prepared.sha256["image" if drop is job.image else "mask"]
        if sha256:
            found[drop.id] = sha256
    return found
