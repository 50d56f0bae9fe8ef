"""Gathers what a contact sheet shows: the ledger says which outputs, hands make them small."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np

from retouchd.budget import ByteBudget
from retouchd.call import Call
from retouchd.config import Lane
from retouchd.contact_sheet import TILE, Cutout
from retouchd.errors import (
    EnvironmentTrouble,
    FileBusy,
    PermanentError,
    RetouchdError,
    RootLost,
    Unexpected,
)
from retouchd.footprint import footprint
from retouchd.hands import Hands
from retouchd.job import FileStat, Job
from retouchd.ledger import LedgerReader
from retouchd.roots import RootRef
from retouchd.shared import SharedArray, attach
from retouchd.tasks.values import Original, stat_of
from retouchd.thumbnail import Thumbnail

_CONFIDENCE = re.compile(r"confidence: (\S+)")
_MEMORY = 1 << 30  # bytes of decoded outputs at once: a service may be at work beside
_CANVAS = 4  # a cut-out's canvas may have so many times the pixels that its photo may have
_PATIENCE = 10  # a decode may take so many times as long as a look

Stats = Mapping[tuple[str, str], FileStat | None]


class Sheets:
    """Looks at outputs. within: seconds that a share may take to answer a small task."""

    def __init__(self, ledger: LedgerReader, hands: Hands, within: float) -> None:
        self._ledger, self._hands, self._within = ledger, hands, within
        self._budget = ByteBudget(_MEMORY)

    def cutouts(self, lane: Lane, jobs: Sequence[Job]) -> list[Cutout]:
        """The outputs of a lane's jobs, in their order.

        An output that is gone, changed or broken is said to be so. Raises EnvironmentTrouble for
        a folder that is lost or does not answer.
        """
        stats = self._look(lane, jobs)
        with ThreadPoolExecutor(self._hands.size) as threads:
            return list(threads.map(lambda job: self._cutout(lane, job, stats), jobs))

    def _look(self, lane: Lane, jobs: Sequence[Job]) -> Stats:
        """What there is of the outputs. A share that hangs shows here, before many ask it."""
        found: dict[tuple[str, str], FileStat | None] = {}
        for role in sorted({job.output_role for job in jobs}):
            root = self._root(lane, role)
            paths = [job.output for job in jobs if job.output and job.output_role == role]
            values = {"root": asdict(root), "paths": paths}
            answer, _ = self._hands.call(Call("look", lane.name, root.path, self._within, values))
            stats = map(stat_of, answer["stats"])
            found |= {(role, path): stat for path, stat in zip(paths, stats, strict=True)}
        return found

    def _root(self, lane: Lane, role: str) -> RootRef:
        row = self._ledger.root(lane.name, role)
        path = str(lane.folders.get(role, role))
        if row is None or row.path != path:
            raise RootLost(path=path, cause="it was never set up", lane=lane.name)
        return RootRef(row.lane, row.role, row.path, row.marker)

    def _cutout(self, lane: Lane, job: Job, stats: Stats) -> Cutout:
        stat = stats.get((job.output_role, job.output or ""))
        if stat is None:
            return described(job, None, "it is no longer there")
        try:
            picture, sha256 = self._thumbnail(lane, job, stat)
        except EnvironmentTrouble:
            raise
        except RetouchdError as error:
            return described(job, None, _why(error))
        changed = sha256 != job.output_sha256
        return described(job, picture, "somebody changed it since" if changed else "")

    def _thumbnail(self, lane: Lane, job: Job, stat: FileStat) -> tuple[Thumbnail, str]:
        """An output, small, and its file's sha256."""
        output = Original(self._root(lane, job.output_role), job.output or "", stat)
        values = {
            "output": output.to_wire(),
            "side": TILE,
            "max_pixels": _CANVAS * lane.limits.max_pixels,
            "max_bytes": max(lane.limits.max_bytes, job.output_size or 0),
        }
        within = _PATIENCE * self._within
        call = Call("thumbnail", lane.name, output.path, within, values)
        with self._budget.spend(footprint(job.decoded, output.path, "same")):
            answer, arrays = self._hands.call(call)
        return _picture(arrays), str(answer["sha256"])


def _picture(arrays: Sequence[SharedArray]) -> Thumbnail:
    """The picture of an answer, which a hand that was taken over may have made up."""
    try:
        if len(arrays) != 1 or not _is_thumbnail(arrays[0]):
            raise Unexpected(cause="a worker process gave something that is no small picture")
        return np.array(attach(arrays[0]))
    finally:
        for array in arrays:
            array.close()


def _is_thumbnail(array: SharedArray) -> bool:
    flat = array.dtype == "uint8" and len(array.shape) == 3 and array.shape[2] in (3, 4)
    return flat and all(1 <= side <= TILE for side in array.shape[:2])


def _why(error: RetouchdError) -> str:
    if isinstance(error, FileBusy):
        return "it is being changed at the moment"
    if isinstance(error, PermanentError) and "cause" in error.facts:
        # The path stands in the line above.
        return f"it can't be shown: {error.facts['cause']}"
    return error.message


def described(job: Job, picture: Thumbnail | None, trouble: str) -> Cutout:
    """A job's output in words: its path and number; below, what a person should know of it.

    trouble: what is wrong with the file as it lies there now.
    """
    review = job.output_role == "review"
    remarks = [remark.removeprefix("in review: ") for remark in job.remarks]
    facts = [trouble, "to review" if review else "", _confidence(job), *remarks]
    name = f"{job.output or job.name}  (job {job.id})"
    return Cutout(name, " · ".join(filter(None, facts)), picture, bool(review or trouble))


def _confidence(job: Job) -> str:
    found = (match[1] for note in job.notes if (match := _CONFIDENCE.match(note)))
    return next((f"confidence {value}" for value in found), "")
