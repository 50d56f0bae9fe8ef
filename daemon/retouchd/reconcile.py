"""Pure: what the ledger has to be told so that it agrees with what lies in an inbox."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from retouchd.errors import Ambiguous, NotAnImage, Orphaned, PermanentError
from retouchd.job import Drop, Job, Place, Role, State
from retouchd.pairing import Conflict, NotImage, Pair, Pending, Verdict, Waiting, WaitingMask

_OPEN = frozenset({State.WAITING, State.READY, State.FAILED})
Member = tuple[Role, str]


@dataclass(frozen=True)
class Assign:
    """Give a job (a new one, for None) exactly these members, and this state.

    absorbed: jobs that give their members up to this one. error: why it is quarantined.
    """

    job: int | None
    state: State
    source: str
    members: tuple[Member, ...]
    why: str | None = None
    absorbed: tuple[int, ...] = ()
    error: PermanentError | None = None


@dataclass(frozen=True)
class Redo:
    """Do a finished job again with a mask that came later.

    absorbed: jobs that give the mask up to it.
    """

    job: int
    mask: str
    absorbed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cancel:
    """The job's files are gone."""

    job: int
    why: str


Action = Assign | Redo | Cancel


@dataclass(frozen=True)
class _Wanted:
    state: State
    source: str
    members: tuple[Member, ...]
    error: PermanentError | None = None


def reconcile(
    verdicts: Iterable[Verdict],
    jobs: Sequence[Job],
    bad: Mapping[str, PermanentError],
    now: float,
    orphan_after: float,
    *,
    earlier: Mapping[str, int] = MappingProxyType({}),
    redo_after: float = 0.0,
    settled: Mapping[str, bool] = MappingProxyType({}),
) -> list[Action]:
    """The steps from the ledger's view to the inbox's.

    jobs: the lane's jobs that wait, are ready or have failed. bad: files whose content can't be
    used, with the reason. now, orphan_after: seconds (since the epoch; of waiting). earlier: masks
    without a photo, and the finished job that each can be meant for. redo_after: seconds that such
    a mask waits for a new photo of that name before it. settled: what lies in the inbox, and
    whether it is whole.
    """
    verdicts = _clear(verdicts, earlier)
    open_jobs = [job for job in jobs if job.state in _OPEN]
    free = {job.id: job for job in open_jobs}
    owner = {drop.path: job.id for job in open_jobs for drop in job.drops if _lies(drop)}
    actions: list[Action] = []
    # Photos choose their job before masks do, so that a photo keeps its history.
    for verdict in sorted(verdicts, key=_rank):
        wanted = _wanted(verdict, bad)
        owners = dict.fromkeys(owner[p] for _, p in wanted.members if p in owner)
        mine = [free.pop(number) for number in owners if number in free]
        redone = [job for job in mine if job.is_redone]
        if redone and isinstance(verdict, WaitingMask):
            wanted = _with_its_photo(wanted, redone[0])
        elif _is_meant(verdict, earlier) and not wanted.error and _is_time(mine, now, redo_after):
            [mask] = verdict.members
            actions.append(Redo(earlier[mask], mask, tuple(job.id for job in mine)))
            continue
        actions += _step(wanted, mine, verdict, now, orphan_after)
    for job in free.values():
        if any(_lies(drop) for drop in job.drops):
            actions.append(Cancel(job.id, "its files were taken out of the inbox"))
        else:
            actions += _where_it_lies(job, settled)
    return actions


def _where_it_lies(job: Job, settled: Mapping[str, bool]) -> list[Action]:
    """For a job that was set aside and is tried again there: its folder's mask, which lies in the
    inbox all the same, has to settle. One that is gone is for the attempt to tell of."""
    mask = job.drop(Role.SHARED_MASK)
    if mask is None:
        return []
    whole = settled.get(mask.path)
    if whole is False:
        return [] if job.state is State.WAITING else [_hold(job)]
    if job.state is State.WAITING or (whole and mask.stat is None):
        return [Assign(job.id, State.READY, job.source, _members(job))]
    return []


def _clear(verdicts: Iterable[Verdict], earlier: Mapping[str, int]) -> list[Verdict]:
    """Masks that are meant for one and the same finished photo are in conflict."""
    rivals: dict[int, list[str]] = defaultdict(list)
    for mask, job in sorted(earlier.items()):
        rivals[job].append(mask)
    several = [tuple(masks) for masks in rivals.values() if len(masks) > 1]
    unclear = {mask for masks in several for mask in masks}
    return [
        *(v for v in verdicts if not (isinstance(v, WaitingMask) and v.mask in unclear)),
        *(Conflict(m, f"{' and '.join(m)} are masks for one photo, done before") for m in several),
    ]


def _is_meant(verdict: Verdict, earlier: Mapping[str, int]) -> bool:
    return isinstance(verdict, WaitingMask) and verdict.mask in earlier


def _is_time(mine: Sequence[Job], now: float, redo_after: float) -> bool:
    """Whether a mask has waited long enough for a new photo, which may be on its way.

    One that came in what the clock takes for the future has, too: clocks are set back.
    """
    return redo_after <= 0 or any(not 0 <= now - job.created_at < redo_after for job in mine)


def _with_its_photo(wanted: _Wanted, job: Job) -> _Wanted:
    """A mask for a photo that lies in the archive lacks nothing."""
    photo = tuple((drop.role, drop.path) for drop in job.drops if drop.role is Role.IMAGE)
    state = wanted.state if wanted.error else State.READY
    return replace(wanted, state=state, members=(*photo, *wanted.members))


def _lies(drop: Drop) -> bool:
    """Whether this original is the job's own and lies in the inbox."""
    return drop.role is not Role.SHARED_MASK and drop.place is Place.INBOX


def _rank(verdict: Verdict) -> int:
    return 1 if isinstance(verdict, WaitingMask) else 0


def _wanted(verdict: Verdict, bad: Mapping[str, PermanentError]) -> _Wanted:
    wanted = _from_verdict(verdict)
    error = next((bad[path] for _, path in wanted.members if path in bad), None)
    if error and not isinstance(verdict, Pending):
        return _Wanted(State.QUARANTINED, wanted.source, wanted.members, error)
    return wanted


def _from_verdict(verdict: Verdict) -> _Wanted:
    match verdict:
        case Pair(image, mask, shared, source):
            members = [(Role.IMAGE, image)]
            members += [(Role.MASK, mask)] if mask else []
            members += [(Role.SHARED_MASK, shared)] if shared else []
            return _Wanted(State.READY, source, tuple(members))
        case Waiting(image):
            return _Wanted(State.WAITING, "mask", ((Role.IMAGE, image),))
        case WaitingMask(mask):
            return _Wanted(State.WAITING, "mask", ((Role.MASK, mask),))
        case Conflict(paths, cause):
            error = Ambiguous(cause=cause)
            return _Wanted(State.QUARANTINED, "mask", tuple((Role.OTHER, p) for p in paths), error)
        case NotImage(path):
            reason = NotAnImage(path=path, cause="its name is not that of a supported image")
            return _Wanted(State.QUARANTINED, "mask", ((Role.OTHER, path),), reason)
        case Pending(paths):
            return _Wanted(State.WAITING, "mask", tuple((Role.OTHER, p) for p in paths))


def _step(
    wanted: _Wanted, mine: list[Job], verdict: Verdict, now: float, orphan_after: float
) -> list[Action]:
    if isinstance(verdict, Pending):
        # Still moving: a job that was ready to start must not.
        return [_hold(job) for job in mine if job.state is not State.WAITING]
    # A photo in the archive stays its job's: what comes into the inbox is other work.
    keeps = [job for job in mine if not job.is_redone or isinstance(verdict, WaitingMask)]
    if not keeps:
        others = tuple(job.id for job in mine)
        made = Assign(None, wanted.state, wanted.source, wanted.members, absorbed=others)
        return [replace(made, error=wanted.error)]
    job, *_ = sorted(keeps, key=lambda j: (j.image is None, j.id))
    absorbed = tuple(other.id for other in mine if other is not job)
    waited = now - job.updated_at if job.state is State.WAITING else 0.0
    if wanted.state is State.WAITING and waited >= orphan_after:
        return [_orphaned(job, wanted, absorbed)]
    if not absorbed and _agrees(job, wanted):
        return []
    return [
        Assign(job.id, wanted.state, wanted.source, wanted.members, None, absorbed, wanted.error)
    ]


def _agrees(job: Job, wanted: _Wanted) -> bool:
    state = State.READY if job.state is State.FAILED else job.state
    members = {(drop.role, drop.path) for drop in job.drops}
    # A configuration that changed may have another source for the same photo's hole.
    source = wanted.source if state is State.WAITING else job.source
    return (state, source) == (wanted.state, wanted.source) and members == set(wanted.members)


def _hold(job: Job) -> Assign:
    return Assign(job.id, State.WAITING, job.source, _members(job), "its files changed")


def _members(job: Job) -> tuple[Member, ...]:
    return tuple((drop.role, drop.path) for drop in job.drops)


def _orphaned(job: Job, wanted: _Wanted, absorbed: tuple[int, ...]) -> Assign:
    role, path = wanted.members[0]
    lone = role is Role.MASK
    error = Orphaned(
        cause=f"No {'photo' if lone else 'mask'} came for {path}",
        fix=(
            "Drop the photo and its mask again, together. If several photos have that name but for "
            "their ending, add the ending: photo.jpg.mask.png. If this is a photo itself, rename "
            "it: its name is that of a mask."
            if lone
            else "Drop the photo again together with a mask named like it (photo.jpg with "
            "photo_mask.png). If the hole is in the photo's transparency, set "
            "pairing.alpha_holes: true for this lane."
        ),
    )
    return Assign(job.id, State.QUARANTINED, job.source, wanted.members, None, absorbed, error)
