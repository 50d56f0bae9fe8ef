"""One attempt at one job: from the committed ``running`` to the committed ``published``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from retouchd.call import Call
from retouchd.clock import Clock
from retouchd.errors import FileBusy, IoTrouble, Orphaned, RetouchdError
from retouchd.hands import Hands
from retouchd.identity import work_key
from retouchd.job import Drop, Job, Place, Role
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.order import Model, Order, Prepared, Product, Stopwatch, Written
from retouchd.publishing import Publishing, original
from retouchd.tasks.values import stat_of
from retouchd.worker import Worker


class Attempt:
    """Runs attempts. model: tells what a lane's model is by its name.

    within: seconds that a share may take to answer a small task; the work gets ten times that.
    """

    def __init__(
        self,
        ledger: Ledger,
        hands: Hands,
        worker: Worker,
        clock: Clock,
        within: float,
        model: Callable[[str], Model],
    ) -> None:
        self._ledger, self._hands, self._worker = ledger, hands, worker
        self._publishing = Publishing(ledger, hands, clock, within)
        self.resume = self._publishing.resume
        self._clock, self._within = clock, within
        self._model = model

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
            self._discard(job, lane)
            raise
        originals = [order.image, *([order.mask] if order.mask else [])]
        return self._publishing.publish(job, lane, product, originals, watch)

    def _order(self, job: Job, lane: LaneState) -> Order:
        job = self._refreshed(job, lane)
        image = job.image
        if image is None or not job.complete:
            if all(drop.place is Place.INBOX for drop in job.drops):
                # A person had it tried again: what belongs together is for the intake to see.
                raise FileBusy(path=job.name)
            raise Orphaned(
                cause=f"Job {job.id} does not have both a photo and its mask",
                fix="Drop the photo and its mask into the inbox again, together.",
            )
        folders = lane.config.folders
        return Order(
            job=job.id,
            lane=lane.name,
            image=original(image, lane),
            mask=original(job.mask, lane) if job.mask else None,
            source=job.source,
            outbox=lane.root("outbox"),
            review=lane.root("review") if "review" in folders else None,
            temporary=self._publishing.temporary(job),
            model=self._model(lane.config.model),
            settings=job.settings,
            decoded=job.decoded,
            within=10 * self._within,
            inbox=str(lane.config.inbox),
            name=image.path,
        )

    def _refreshed(self, job: Job, lane: LaneState) -> Job:
        """Take originals that were moved as they are now: a person may have mended them in
        quarantine, and across file systems a copy has another inode."""
        for drop in job.drops:
            if not _is_looked_at(drop, job):
                continue
            root = asdict(lane.root(drop.place))
            answer = self._call(lane, "look", drop.where, root=root, paths=[drop.where])
            stat = stat_of(answer["stats"][0])
            if stat is None:
                raise _gone(drop, job)
            # In the inbox it is for the intake to say when it has settled.
            if drop.place is not Place.INBOX:
                self._ledger.set_stat(drop.id, stat, drop.decoded)
        return self._ledger.job(job.id) or job

    def _product(
        self, job: Job, lane: LaneState, order: Order, prepared: Prepared, watch: Stopwatch
    ) -> Product:
        sha256 = order.model.sha256
        settings = {**order.settings, "largest": order.model.largest}
        key = work_key(prepared.sha256, job.source, settings, sha256)
        earlier = self._ledger.duplicate(key, job.id)
        product = None
        if earlier and lane.config.output.duplicates == "reuse":
            product = self._reuse(earlier, lane, order)
        if product is None:
            product = self._worker.produce(order, prepared, watch)
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
        if earlier.companions or earlier.output_role != "outbox":
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
        return Product(Written(answer["sha256"], answer["size"], extension), notes=("reused",))

    def _discard(self, job: Job, lane: LaneState) -> None:
        """Take back what may have been written; what can't be now is done by ``resume``."""
        with suppress(RetouchdError):
            self._publishing.discard(job, lane)

    def _call(self, lane: LaneState, task: str, subject: str, **arguments: Any) -> dict[str, Any]:
        call = Call(task, lane.name, subject, self._within, arguments)
        result, _ = self._hands.call(call)
        return result


def _hashes(job: Job, prepared: Prepared) -> dict[int, str]:
    found = {}
    for drop in job.drops:
        sha256 = prepared.sha256["image" if drop is job.image else "mask"]
        if sha256:
            found[drop.id] = sha256
    return found


def _is_looked_at(drop: Drop, job: Job) -> bool:
    """Whether nobody else sees if an original is still there, and which version it is."""
    if drop.place is Place.ARCHIVE or drop.stat is not None:
        return drop.place is Place.ARCHIVE
    return drop.place is Place.FAILED or (drop.role is Role.SHARED_MASK and job.is_aside)


def _gone(drop: Drop, job: Job) -> Orphaned:
    if drop.place is Place.INBOX:
        return Orphaned(
            cause=f"The mask {drop.where} is no longer in the inbox",
            fix=f"Put the folder's mask there again and run `retouchd retry {job.id}`, or drop "
            "the photo again.",
        )
    where = "the archive" if drop.place is Place.ARCHIVE else "the quarantine"
    return Orphaned(
        cause=f"{drop.where} is no longer in {where}",
        fix="Drop the photo and its mask into the inbox again.",
    )
