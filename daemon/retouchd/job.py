"""Pure: what a job is, which states it may pass through, and what happens after a failure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

_FACT = re.compile(r"\w+: ")


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  # something it needs is not there, or not settled
    READY = "ready"  # may be started
    RUNNING = "running"  # an attempt was committed; nothing is visible yet
    PUBLISHED = "published"  # the output is visible and durable; originals still to be filed
    DONE = "done"  # originals archived
    FAILED = "failed"  # will be tried again at next_attempt_at
    QUARANTINED = "quarantined"  # will not be tried again by itself
    CANCELLED = "cancelled"  # a person said no, or took the files away


LEGAL: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.READY, State.QUARANTINED, State.CANCELLED, State.DONE}),
    State.READY: frozenset(
        {State.RUNNING, State.WAITING, State.QUARANTINED, State.CANCELLED, State.DONE}
    ),
    State.RUNNING: frozenset(
        {State.PUBLISHED, State.READY, State.WAITING, State.FAILED, State.QUARANTINED}
    ),
    State.PUBLISHED: frozenset({State.DONE}),
    # A mask came later, for another try; and where it is taken away again, there is none.
    State.DONE: frozenset({State.READY}),
    State.FAILED: frozenset(
        {State.RUNNING, State.READY, State.WAITING, State.QUARANTINED, State.CANCELLED, State.DONE}
    ),
    State.QUARANTINED: frozenset({State.READY}),
    State.CANCELLED: frozenset({State.READY}),
}

LIVE = frozenset({State.WAITING, State.READY, State.RUNNING, State.PUBLISHED, State.FAILED})
"""States in which a job still has something to do."""

AFRESH: Mapping[str, int] = {"attempts": 0, "crashes": 0, "interrupted": 0}
"""Columns of a job that begins from the beginning: with other files it is other work, and what
befell the old ones says nothing of the new."""

UNTROUBLED: Mapping[str, None] = {"error": None, "remedy": None, "next_attempt_at": None}
"""Columns of a job that nothing keeps from going on."""

_RESULT = ("output", "output_sha256", "output_size", "output_role", "key", "completed_at")
RETRYABLE = frozenset({State.FAILED, State.QUARANTINED, State.CANCELLED})
CANCELLABLE = frozenset({State.WAITING, State.READY, State.FAILED})


def is_legal(before: State, after: State) -> bool:
    """Whether a job may go from ``before`` to ``after``."""
    return after in LEGAL[before]


class Role(StrEnum):
    """What a drop is to its job."""

    IMAGE = "image"
    MASK = "mask"
    SHARED_MASK = "shared_mask"  # serves a whole folder; stays where it is
    OTHER = "other"  # not an image, or one of several candidates


class Place(StrEnum):
    """The folder of the lane in which an original lies."""

    INBOX = "inbox"
    ARCHIVE = "archive"
    FAILED = "failed"
    GONE = "gone"  # taken away or replaced by a person, or pruned


@dataclass(frozen=True)
class FileStat:
    """What identifies one version of a file: bytes, nanoseconds, inode number."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class Drop:
    """One original of a job.

    path: where it was dropped, relative to the inbox. place, where: where it lies now.
    next_place, next_where: where it is being moved to; committed before the move begins.
    stat: as it was when it settled; None while it has to settle again. was: the time (ns) and the
    inode of the version that settled last, also meanwhile.
    decoded: estimate of its decoded size in bytes.
    """

    id: int
    job: int
    role: Role
    path: str
    place: Place
    where: str
    stat: FileStat | None
    decoded: int = 0
    sha256: str | None = None
    next_place: Place | None = None
    next_where: str | None = None
    was: tuple[int, int] | None = None


@dataclass(frozen=True)
class Companion:
    """One more file beside a job's output, published before it.

    token: tells its temporary file from the others'. path: like ``Job.output``.
    """

    token: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Job:
    """One row of the ledger with its drops. Times are seconds since the epoch.

    output_role: the folder that its output lies in, ``outbox`` or ``review``. earlier: columns that
    tell what an earlier try made, while no later one has got through.
    """

    id: int
    lane: str
    task: str
    state: State
    source: str
    name: str
    created_at: float
    updated_at: float
    attempts: int = 0
    crashes: int = 0
    interrupted: int = 0
    next_attempt_at: float | None = None
    output: str | None = None
    output_sha256: str | None = None
    output_size: int | None = None
    output_role: str = "outbox"
    companions: tuple[Companion, ...] = ()
    earlier: Mapping[str, Any] | None = None
    key: str | None = None
    duplicate_of: int | None = None
    model: str | None = None
    model_sha256: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str | None = None
    remedy: str | None = None
    error_file: str | None = None
    completed_at: float | None = None
    drops: tuple[Drop, ...] = ()

    def drop(self, *roles: Role) -> Drop | None:
        """The first drop that has one of these roles."""
        return next((drop for role in roles for drop in self.drops if drop.role is role), None)

    @property
    def image(self) -> Drop | None:
        """The photo."""
        return self.drop(Role.IMAGE)

    @property
    def mask(self) -> Drop | None:
        """The photo's own mask, or the folder's."""
        return self.drop(Role.MASK, Role.SHARED_MASK)

    @property
    def complete(self) -> bool:
        """Whether it has all that the work needs: the photo, and what says where its hole is."""
        apart = self.source in ("mask", "folder_mask")
        return self.image is not None and (self.mask is not None or not apart)

    @property
    def is_redone(self) -> bool:
        """Whether its photo was filed away before, by an earlier try that got through."""
        return self.image is not None and self.image.place is Place.ARCHIVE

    @property
    def standing(self) -> Mapping[str, Any] | None:
        """Columns that tell what stands if nothing comes of its being done again; None where there
        is nothing."""
        done = self.is_redone and self.output and self.state is not State.RUNNING
        if self.earlier or not done:
            return self.earlier
        return {
            **{name: getattr(self, name) for name in _RESULT},
            "companions": [asdict(one) for one in self.companions],
            "notes": list(self.notes),
        }

    @property
    def not_again(self) -> str | None:
        """Why nobody may have it tried again, to follow "it can't be"; None where anybody may."""
        own = [drop for drop in self.drops if drop.role is not Role.SHARED_MASK]
        places = {drop.place for drop in own}
        if self.state not in RETRYABLE:
            return "tried again"
        if any(drop.next_place for drop in own):
            return "tried again before its files have been moved"
        if not own or Place.GONE in places:
            return "tried again, because its originals are gone"
        if not self.complete and places != {Place.INBOX}:
            return f"tried again as it is. {self.remedy or 'Drop it again'}".rstrip(".")
        if {Place.INBOX, Place.FAILED} <= places:
            return "tried again: its files lie in several folders. Drop them again, together"
        return None

    @property
    def is_aside(self) -> bool:
        """Whether its photo lies in quarantine, where nobody but its own attempts looks."""
        return self.image is not None and self.image.place is Place.FAILED

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes that are sentences for a person; the engine's facts read ``key: value``."""
        return tuple(note for note in self.notes if not _FACT.match(note))

    @property
    def decoded(self) -> int:
        """Estimate of what the decoded originals take in memory, in bytes."""
        return sum(drop.decoded for drop in self.drops)
