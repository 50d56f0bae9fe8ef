"""Pure: which finished files have been kept long enough.

The inventory comes from the ledger, so nothing is ever pruned that retouchd did not put there,
and nothing that still waits. The dry run and the real one share this decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from retouchd.config.sections import Keep, Retention
from retouchd.config.units import show_duration, show_size

Role = Literal["outputs", "review", "archive", "failed"]
Rule = Literal["max_age", "max_size", "min_free"]

# Where space must be found, what can be made again or fetched elsewhere goes first.
ORDER: tuple[Role, ...] = ("archive", "failed", "review", "outputs")
# What the limits of one setting hold together: what waits for review is an output, too.
_CLASSES: Mapping[str, tuple[Role, ...]] = {
    "archive": ("archive",),
    "failed": ("failed",),
    "outputs": ("outputs", "review"),
}
BRAKE_FROM = 20
CLOCK_JUMP = 3 * 86400.0
LONG_JUMP = 30 * 86400.0
"""Seconds. Nobody goes on holiday for longer; a clock that jumps so far may well be wrong, and then
even a few files are all that somebody has."""


@dataclass(frozen=True)
class Kept:
    """A finished file: its ledger row, its size in bytes, its completion in epoch seconds."""

    file_id: int
    lane: str
    role: Role
    path: str
    size: int
    completed_at: float
    job: int


@dataclass(frozen=True)
class Volume:
    """A file system: which roles of the lane lie on it, its free bytes, and its device number."""

    roles: frozenset[Role]
    free: int
    device: int = 0


@dataclass(frozen=True)
class Doomed:
    """A file to delete, the rule that says so, and the reason in words."""

    file: Kept
    rule: Rule
    reason: str


@dataclass(frozen=True)
class Decision:
    """What to delete, in this order; ``braked`` says why nothing is deleted although due.

    gone: files that the inventory has and the disk has not, or has changed: no longer ours.
    short: of each disk where ``min_free`` is out of reach, why nothing is deleted for it.
    """

    delete: tuple[Doomed, ...]
    braked: str | None = None
    gone: tuple[Kept, ...] = ()
    short: tuple[str, ...] = ()


def decide(
    inventory: Iterable[Kept],
    rules: Retention,
    volumes: Sequence[Volume],
    *,
    now: float,
    last_seen_now: float | None,
    newest_seen: float | None = None,
    force: bool = False,
) -> Decision:
    """What one lane's rules delete of its inventory.

    volumes: those whose free space is known; ``min_free`` touches no others.
    now: epoch seconds. A file completed later than now (the clock went back) has no age.
    last_seen_now: the time that this lane went by last; None or 0 if none. Each lane has its own:
        one with nothing to delete must not answer for another that was braked.
    newest_seen: the latest of those times. What counts as completed later came after a jump, and
        must not make up for what would go; None counts all.

    The brake: when the clock stands more than 3 days beyond ``last_seen_now``, and more than
    ``rules.brake`` of the inventory, or of one role's, would go by age, nothing is deleted; up to
    30 days only if that are at least 20 files. The caller must not record ``now`` as seen then.
    ``force`` (`retouchd prune --force`) is the way through for a machine that was switched off for
    so long; ``brake: 1`` turns it off.
    """
    files = sorted(inventory, key=_oldest_first)
    doomed = [dead for role in ORDER for dead in _by_age(files, role, rules, now)]
    before = [file for file in files if newest_seen is None or file.completed_at <= newest_seen]
    braked = None if force else _brake(doomed, before, rules.brake, now, last_seen_now)
    if braked:
        return Decision(delete=(), braked=braked)
    for name, roles in _CLASSES.items():
        doomed += _by_size(_left(files, doomed, roles), name, _keep(rules, roles[0]))
    if rules.min_free is not None:
        for volume in sorted(volumes, key=lambda v: (sorted(v.roles), v.free)):
            doomed += _by_free(files, doomed, volume, rules.min_free)
    return Decision(delete=tuple(doomed))


def decide_by_the_disk(
    inventory: Iterable[Kept],
    rules: Retention,
    volumes: Sequence[Volume],
    missing: Callable[[Sequence[Kept]], Iterable[Kept]],
    **moment: Any,
) -> Decision:
    """As ``decide``, of what is really there: what people took away or changed is not deleted,
    and takes none of the space that a rule speaks of.

    missing: of these files, those that are gone or changed. It is asked about no more than the
    decision hangs on. moment: the rest of what ``decide`` takes.
    """
    left, seen, gone = list(inventory), set[int](), list[Kept]()
    decision = decide(left, rules, volumes, **moment)
    while unseen := [file for file in _in_question(left, decision) if file.file_id not in seen]:
        seen |= {file.file_id for file in unseen}
        found = {file.file_id: file for file in missing(unseen)}
        gone += found.values()
        left = [file for file in left if file.file_id not in found]
        # The brake has been judged, by all that should be there.
        decision = decide(left, rules, volumes, **{**moment, "force": True})
    return replace(decision, gone=tuple(gone))


def _in_question(files: list[Kept], decision: Decision) -> list[Kept]:
    """What is to go, and all that counts for a size that was found too large."""
    doomed = {dead.file.file_id for dead in decision.delete}
    by_size = {dead.file.role for dead in decision.delete if dead.rule == "max_size"}
    summed = {role for roles in _CLASSES.values() if by_size & {*roles} for role in roles}
    return [file for file in files if file.role in summed or file.file_id in doomed]


def _oldest_first(file: Kept) -> tuple[float, int, int]:
    return file.completed_at, file.job, file.file_id


def _keep(rules: Retention, role: Role) -> Keep:
    keeps = {"archive": rules.archive, "failed": rules.failed}
    return keeps.get(role, rules.outputs)


def _left(files: list[Kept], doomed: list[Doomed], roles: Iterable[Role]) -> list[Kept]:
    gone = {dead.file.file_id for dead in doomed}
    wanted = set(roles)
    return [file for file in files if file.role in wanted and file.file_id not in gone]


def _by_age(files: list[Kept], role: Role, rules: Retention, now: float) -> list[Doomed]:
    max_age = _keep(rules, role).max_age
    if max_age is None:
        return []
    reason = f"older than {show_duration(max_age)}"
    return [
        Doomed(file, "max_age", reason)
        for file in files
        if file.role == role and now - file.completed_at > max_age
    ]


def _brake(
    doomed: list[Doomed], files: list[Kept], brake: float, now: float, last_seen: float | None
) -> str | None:
    jump = now - last_seen if last_seen else 0.0
    if jump <= CLOCK_JUMP:
        return None
    # Each role by itself, too: where outputs stay for ever, all archived originals may be the
    # lesser part.
    known = {file.file_id for file in files}
    for roles in (ORDER, *((role,) for role in ORDER)):
        due = sum(dead.file.role in roles and dead.file.file_id in known for dead in doomed)
        total = sum(file.role in roles for file in files)
        if due > brake * total and (due >= BRAKE_FROM or jump > LONG_JUMP):
            return (
                f"the clock stands {jump / 86400:.0f} days beyond the last recorded time, and {due}"
                f" of {total} files would go by age at once; nothing was deleted. If the clock is "
                "right, run `retouchd prune --force`; if it is wrong, set it"
            )
    return None


def _by_size(left: list[Kept], role: str, keep: Keep) -> list[Doomed]:
    if keep.max_size is None:
        return []
    excess = sum(file.size for file in left) - keep.max_size
    reason = f"{role} is over {show_size(keep.max_size)}, and this is among the oldest"
    return [Doomed(file, "max_size", reason) for file in _until_freed(left, excess)]


def _by_free(
    files: list[Kept], doomed: list[Doomed], volume: Volume, min_free: int
) -> list[Doomed]:
    freed = sum(dead.file.size for dead in doomed if dead.file.role in volume.roles)
    reason = f"less than {show_size(min_free)} is free, and this is among the oldest"
    left = [
        file for role in ORDER if role in volume.roles for file in _left(files, doomed, (role,))
    ]
    lacking = min_free - volume.free - freed
    return [Doomed(file, "min_free", reason) for file in _until_freed(left, lacking)]


def _until_freed(files: Iterable[Kept], needed: int) -> Iterable[Kept]:
    """The first of ``files`` that together free ``needed`` bytes; empty files free nothing."""
    for file in files:
        if needed <= 0:
            return
        if file.size > 0:
            needed -= file.size
            yield file
