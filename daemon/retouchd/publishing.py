"""Makes outputs visible: steps 3 to 5 of the crash order of docs/design.md, and their replay.

A job can have companions beside its output, such as the alpha of a cut-out. They become visible
before it: whoever sees the output sees all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from retouchd.call import Call
from retouchd.clock import Clock
from retouchd.errors import FileBusy, IoTrouble
from retouchd.hands import Hands
from retouchd.job import UNTROUBLED, Companion, Drop, Job, Place, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger
from retouchd.naming import COMPANIONS, NameFacts, expand, numbered, temporary, temporary_of
from retouchd.order import Product, Stopwatch, Written
from retouchd.recording import Change, intend
from retouchd.tasks.values import Original, stat_of
from retouchd.ways import folder_of_day

MOST_NAMES = 10_000
_AT_ONCE = 8
_Wire = dict[str, int]
KEPT_AS: Mapping[str, str] = {"outbox": "outputs", "review": "review"}
"""Folder of an output → what retention calls it."""


@dataclass(frozen=True)
class _Piece:
    """One file of a job that is about to be visible. token: empty for the output itself."""

    token: str
    path: str
    sha256: str


class Publishing:
    """Publishes temporary outputs. within: seconds that a share may take to answer."""

    def __init__(self, ledger: Ledger, hands: Hands, clock: Clock, within: float) -> None:
        self._ledger, self._hands, self._clock, self._within = ledger, hands, clock, within

    def temporary(self, job: Job, token: str = "") -> str:
        """The hidden name at the top of the outbox under which a job's output is written."""
        return temporary_of(temporary(f"{self._ledger.id}-{job.id}"), token)

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
        path = self._output_path(job, lane, product.output)
        for _ in range(MOST_NAMES):
            free = self._free(path, lane, product) if product.companions else path
            named = self._named(job, product, free)
            pieces = dict.fromkeys(_pieces(named))
            first, *more = pieces
            if more:
                # Who has its name has the number: others look for the next one.
                with self._taking_back(named, lane):
                    pieces[first] = self._rename(named, lane, first, originals, watch, 1)
            if pieces[first] or not more:
                return self._show(named, lane, pieces, originals, watch)
        raise IoTrouble(path=path, cause=f"{MOST_NAMES} files have that name already")

    def _named(self, job: Job, product: Product, path: str) -> Job:
        """The job with the names committed under which its files are about to appear."""
        companions = [
            Companion(one.token, _beside(path, one), one.sha256, one.size)
            for one in product.companions
        ]
        self._ledger.note(
            job.id,
            now=self._clock.now(),
            output=path,
            output_sha256=product.output.sha256,
            output_size=product.output.size,
            output_role=product.role,
            companions=[asdict(one) for one in companions],
        )
        return self._ledger.job(job.id) or job

    def _free(self, path: str, lane: LaneState, product: Product) -> str:
        """The output's path with the first number that leaves a free name to every file."""
        root = asdict(lane.root(product.role))
        for first in range(0, MOST_NAMES, _AT_ONCE):
            finals = (numbered(path, first + number) for number in range(_AT_ONCE))
            paths = [[one, *(_beside(one, c) for c in product.companions)] for one in finals]
            flat = [name for names in paths for name in names]
            stats = self._call(lane, "look", path, root=root, paths=flat)["stats"]
            taken = {name for name, stat in zip(flat, stats, strict=True) if stat}
            if free := [names for names in paths if taken.isdisjoint(names)]:
                return free[0][0]
        raise IoTrouble(path=path, cause=f"{MOST_NAMES} files have that name already")

    def _output_path(self, job: Job, lane: LaneState, output: Written) -> str:
        folder, name = os.path.split(job.name)
        stem = os.path.splitext(name)[0]
        facts = NameFacts(
            date=self._clock.local(),
            relative_dir=folder,
            stem=stem,
            ext=output.ending,
            lane=lane.name,
            job=job.id,
        )
        return expand(lane.config.output.path, facts)

    def _show(
        self,
        job: Job,
        lane: LaneState,
        pieces: Mapping[_Piece, _Wire | None],
        originals: list[Original],
        watch: Stopwatch,
    ) -> Job:
        """Rename the pieces that have no stat yet, in order, and commit that all are visible."""
        stats = {piece.token: stat for piece, stat in pieces.items()}
        with self._taking_back(job, lane):
            for piece in pieces:
                stats[piece.token] = stats[piece.token] or self._rename(
                    job, lane, piece, originals, watch, MOST_NAMES
                )
        return self._commit_published(self._ledger.job(job.id) or job, stats, watch.stages)

    @contextmanager
    def _taking_back(self, job: Job, lane: LaneState) -> Iterator[None]:
        """Where an original has changed meanwhile, nothing of the job stays visible."""
        try:
            yield
        except FileBusy:
            self._withdraw(self._ledger.job(job.id) or job, lane)
            raise

    def _rename(
        self,
        job: Job,
        lane: LaneState,
        piece: _Piece,
        originals: list[Original],
        watch: Stopwatch,
        names: int,
    ) -> _Wire | None:
        """Rename without replacing, under the first of ``names`` names that is free; a number is
        committed before it is tried. Gives the stat, None where the only one is taken."""
        for number in range(names):
            final = numbered(piece.path, number)
            if number:
                self._rename_in_ledger(job, piece, final)
            with watch.stage("publish"):
                answer = self._call(
                    lane,
                    "publish",
                    final,
                    root=asdict(lane.root(job.output_role)),
                    temporary=self.temporary(job, piece.token),
                    final=final,
                    originals=[original.to_wire() for original in originals],
                )
            if answer["stat"]:
                return dict(answer["stat"])
        if names > 1:
            raise IoTrouble(path=piece.path, cause=f"{MOST_NAMES} files have that name already")
        return None

    def _rename_in_ledger(self, job: Job, piece: _Piece, final: str) -> None:
        now = self._clock.now()
        if not piece.token:
            self._ledger.note(job.id, now=now, output=final)
            return
        current = self._ledger.job(job.id) or job
        companions = [
            replace(one, path=final) if one.token == piece.token else one
            for one in current.companions
        ]
        self._ledger.note(job.id, now=now, companions=[asdict(one) for one in companions])

    def _commit_published(
        self, job: Job, stats: Mapping[str, _Wire | None], timings: Mapping[str, float]
    ) -> Job:
        """All of it is visible: hand it to retention, and say where the originals go."""
        now = self._clock.now()
        with self._ledger.transaction():
            made: Change = {"completed_at": now, "timings": dict(timings), "earlier": None}
            self._ledger.change(job.id, State.PUBLISHED, now=now, **made, **UNTROUBLED)
            for piece in _pieces(job):
                if stat := stat_of(stats.get(piece.token)):
                    self._ledger.keep(
                        job=job.id,
                        lane=job.lane,
                        role=KEPT_AS[job.output_role],
                        path=piece.path,
                        stat=stat,
                        completed_at=now,
                    )
            intend(self._ledger, job, Place.ARCHIVE, folder_of_day(now))
        return self._ledger.job(job.id) or job

    def resume(self, job: Job, lane: LaneState) -> Job | None:
        """Complete a publication that a crash cut off; None if the work has to be done again."""
        if job.output is None or job.output_sha256 is None:
            self.discard(job, lane)
            return None
        reached = {piece: self._reached(job, lane, piece) for piece in _pieces(job)}
        *_, (output, _) = reached.values()
        # Where the output was visible, all was: what is missing now, a person has taken.
        if output != "published" and any(how == "nothing" for how, _ in reached.values()):
            self._withdraw(job, lane)
            return None
        stats = {piece: stat for piece, (how, stat) in reached.items() if how != "nothing"}
        done = all(stats.values())
        originals = [] if done else [original(drop, lane) for drop in job.drops if drop.stat]
        return self._show(job, lane, stats, originals, Stopwatch(dict(job.timings)))

    def _reached(self, job: Job, lane: LaneState, piece: _Piece) -> tuple[str, _Wire | None]:
        """How far a piece came: ``published``, with its stat, ``written`` or ``nothing``."""
        answer = self._call(
            lane,
            "resume",
            piece.path,
            root=asdict(lane.root(job.output_role)),
            temporary=self.temporary(job, piece.token),
            final=piece.path,
            sha256=piece.sha256,
        )
        # A twin of this job may have published the same bytes under the same name.
        if answer["reached"] == "published" and self._is_a_twins(job, piece):
            return "nothing", None
        return answer["reached"], answer["stat"]

    def _is_a_twins(self, job: Job, piece: _Piece) -> bool:
        keeper = self._ledger.keeper(job.lane, KEPT_AS[job.output_role], piece.path)
        others = self._ledger.holding(job.lane, job.output_role, piece.path)
        over = (State.PUBLISHED, State.DONE)
        return keeper not in (None, job.id) or any(
            other.id != job.id and other.state in over for other in others
        )

    def _withdraw(self, job: Job, lane: LaneState) -> None:
        """Take back companions that are visible although the output will not be."""
        root = asdict(lane.root(job.output_role))
        for piece in _pieces(job)[:-1]:
            how, stat = self._reached(job, lane, piece)
            if how == "published":
                files = [{"path": piece.path, "stat": stat}]
                self._call(lane, "prune", piece.path, root=root, files=files, seconds=0)
        self.discard(job, lane)

    def discard(self, job: Job, lane: LaneState) -> None:
        """Delete what a job has written and not published."""
        names = [self.temporary(job, token) for token in ("", *COMPANIONS)]
        for role in KEPT_AS:
            if role in lane.config.folders:
                root = asdict(lane.root(role))
                self._call(lane, "discard", names[0], root=root, temporaries=names)

    def _call(self, lane: LaneState, task: str, subject: str, **arguments: Any) -> dict[str, Any]:
        call = Call(task, lane.name, subject, self._within, arguments)
        result, _ = self._hands.call(call)
        return result


def _beside(path: str, companion: Written) -> str:
    """A companion's path beside that of the output."""
    return os.path.splitext(path)[0] + companion.ending


def _pieces(job: Job) -> list[_Piece]:
    """A job's files in the order in which they become visible."""
    companions = [_Piece(one.token, one.path, one.sha256) for one in job.companions]
    return [*companions, _Piece("", job.output or "", job.output_sha256 or "")]


def original(drop: Drop, lane: LaneState) -> Original:
    """Where a settled drop lies, and which version is meant; raises FileBusy if none is."""
    if drop.stat is None:
        raise FileBusy(path=drop.path)
    return Original(lane.root(drop.place), drop.where, drop.stat)
