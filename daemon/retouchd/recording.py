"""Applies what ``reconcile`` decided: one lane's inbox into the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retouchd.errors import PermanentError
from retouchd.job import AFRESH, UNTROUBLED, Drop, FileStat, Job, Place, Role, State
from retouchd.lanes import LaneState
from retouchd.ledger import Ledger, NewDrop
from retouchd.presence import Presence
from retouchd.reconcile import Action, Assign, Cancel, Member, Redo
from retouchd.ways import folder_of_day

Change = dict[str, Any]
STOPPED = "the service had stopped"
"""Why a job is in the queue again that was at work."""


def record(
    ledger: Ledger, lane: LaneState, actions: Sequence[Action], presence: Presence, now: float
) -> list[Change]:
    """Apply the actions in order, inside the caller's transaction; returns what to log."""
    changes = []
    for action in actions:
        if isinstance(action, Cancel):
            changes.append(_cancel(ledger, lane, action, now))
        elif isinstance(action, Redo):
            changes.append(_redo(ledger, lane, action, presence, now))
        else:
            changes.append(_assign(ledger, lane, action, presence, now))
    return changes


def _cancel(ledger: Ledger, lane: LaneState, action: Cancel, now: float) -> Change:
    job = ledger.job(action.job)
    for drop in job.drops if job else ():
        if drop.place is Place.INBOX:
            ledger.moved(drop.id, Place.GONE, drop.where)
    why = action.why
    if job and lane.moved and job.created_at < lane.moved.at:
        why = f"its files lie in {lane.moved.inbox}, the inbox before; move them here"
    state = _end(ledger, job, now, why) if job else State.CANCELLED
    return _said(lane, action.job, job.name if job else "", state, why)


def _end(ledger: Ledger, job: Job, now: float, why: str) -> State:
    """Nothing comes of a job. Where it was to be done again, what came of it before stands."""
    if stands := job.standing:
        ledger.change(job.id, State.DONE, now=now, why=why, earlier=None, **stands, **UNTROUBLED)
        return State.DONE
    ledger.change(job.id, State.CANCELLED, now=now, why=why)
    return State.CANCELLED


def _assign(
    ledger: Ledger, lane: LaneState, action: Assign, presence: Presence, now: float
) -> Change:
    _absorb(ledger, action.absorbed, action.job, now)
    number = action.job
    why = action.error.message if action.error else action.why
    if number is None:
        number = ledger.add(
            lane=lane.name,
            task=lane.config.task,
            source=action.source,
            state=State.WAITING if action.error else action.state,
            drops=[_new(member, presence) for member in action.members],
            now=now,
            why=None if action.error else why,
        )
        before = None
    else:
        before = ledger.job(number)
        if _set_members(ledger, number, before, action.members, presence):
            ledger.note(number, now=now, error=None, remedy=None, **AFRESH)
        name = _lead(action.members, before.name if before else "")
        if before and name != before.name:
            # A mask that came first lent the job its name until the photo came.
            ledger.note(number, now=now, name=name)
    if action.error:
        quarantine(ledger, number, action.error, now)
        # Should a person have overwritten one of them by now, it stays and settles anew.
        for _, path in action.members:
            presence.forget(path)
    elif before and before.state is not action.state:
        ledger.change(
            number, action.state, now=now, why=why, source=action.source, next_attempt_at=None
        )
    elif before:
        ledger.note(number, now=now, source=action.source)
    return _said(lane, number, _lead(action.members), action.state, why)


def _absorb(ledger: Ledger, jobs: Sequence[int], into: int | None, now: float) -> None:
    """Jobs give their files in the inbox up to another one."""
    for other in jobs:
        absorbed = ledger.job(other)
        if absorbed is None:
            continue
        for drop in absorbed.drops:
            if drop.place is Place.INBOX:
                ledger.remove_drop(drop.id)
        why = f"joined to job {into}" if into else "its files belong to a new job"
        _end(ledger, absorbed, now, why)


def _redo(ledger: Ledger, lane: LaneState, action: Redo, presence: Presence, now: float) -> Change:
    _absorb(ledger, action.absorbed, action.job, now)
    job = ledger.job(action.job)
    for drop in job.drops if job else ():
        if drop.role is not Role.IMAGE:
            ledger.remove_drop(drop.id)
    ledger.add_drop(action.job, _new((Role.MASK, action.mask), presence))
    why = f"the mask {action.mask} came for it"
    ledger.change(
        action.job,
        State.READY,
        now=now,
        why=why,
        source="mask",
        error_file=None,
        **UNTROUBLED,
        **AFRESH,
    )
    return _said(lane, action.job, job.name if job else "", State.READY, why)


def _lead(members: Sequence[Member], known: str = "") -> str:
    """The file that names a job: its photo; without one, what has named it, if it is there."""
    photo = next((path for role, path in members if role is Role.IMAGE), None)
    paths = [path for _, path in members]
    return photo or (known if known in paths else paths[0])


def _said(lane: LaneState, job: int, name: str, state: State, why: str | None) -> Change:
    level = "warning" if state is State.QUARANTINED else "info"
    change = {"event": state.value, "level": level, "job": job, "lane": lane.name, "file": name}
    return {**change, "why": why} if why else change


def _new(member: Member, presence: Presence) -> NewDrop:
    role, path = member
    whole = presence.whole.get(path)
    return NewDrop(role, path, whole.stat, whole.decoded) if whole else NewDrop(role, path, None)


def _set_members(
    ledger: Ledger,
    number: int,
    job: Job | None,
    members: Sequence[Member],
    presence: Presence,
) -> bool:
    """Returns whether the job has other files now, or other versions of them."""
    known: dict[Member, Drop] = {(d.role, d.path): d for d in job.drops} if job else {}
    changed = set(known) != set(members)
    for member, drop in known.items():
        if member not in members:
            ledger.remove_drop(drop.id)
    for member in members:
        whole = presence.whole.get(member[1])
        if member not in known:
            ledger.add_drop(number, _new(member, presence))
        # What lies in the inbox under the name of a photo in the archive is another one.
        elif whole and known[member].place is Place.INBOX and known[member].stat != whole.stat:
            ledger.set_stat(known[member].id, whole.stat, whole.decoded)
            changed |= _is_another(known[member], whole.stat)
    return changed


def _is_another(drop: Drop, stat: FileStat) -> bool:
    """Whether a drop that has settled anew is another version than the last that had."""
    return drop.stat is not None or drop.was != (stat.mtime_ns, stat.inode)


def claim(ledger: Ledger, job: Job, now: float, **columns: Any) -> None:
    """Commit an attempt before anything of the files is touched."""
    ledger.change(
        job.id,
        State.RUNNING,
        now=now,
        attempts=job.attempts + 1,
        output=None,
        output_sha256=None,
        earlier=job.standing,
        **UNTROUBLED,
        **columns,
    )


def begin_again(ledger: Ledger, job: Job, now: float) -> None:
    """Queue a job whose attempt ended with the service and left nothing visible."""
    ledger.change(
        job.id,
        State.READY,
        now=now,
        why=STOPPED,
        # It was not the job that ended this attempt; if it was, ``crashes`` tells.
        attempts=max(0, job.attempts - 1),
        output=None,
        output_sha256=None,
        **UNTROUBLED,
    )


def quarantine(ledger: Ledger, number: int, error: PermanentError, now: float) -> None:
    """Set a job aside, and commit where its originals are to be moved before any is."""
    with ledger.transaction():
        job = ledger.job(number)
        if job is None:
            return
        intend(ledger, job, Place.FAILED, folder_of_day(now))
        ledger.change(
            number,
            State.QUARANTINED,
            now=now,
            why=error.message,
            error=error.message,
            remedy=error.advice,
            next_attempt_at=None,
            **what_stands(job),
            completed_at=now,
        )


def what_stands(job: Job) -> Change:
    """Columns of a job that is over, and of which an earlier try made something."""
    if not (stands := job.standing):
        return {}
    # When it was over is now: the earlier time is kept with the rest.
    made = {name: value for name, value in stands.items() if name != "completed_at"}
    return {**made, "earlier": stands}


def intend(ledger: Ledger, job: Job, place: Place, folder: str) -> None:
    """Commit where a job's originals go; shared masks and what is there already stay."""
    for drop in job.drops:
        # What is in the archive got through once, and stays there.
        if drop.role is Role.SHARED_MASK or drop.place in (place, Place.GONE, Place.ARCHIVE):
            continue
        ledger.intend_move(drop.id, place, f"{folder}/{drop.path}")
