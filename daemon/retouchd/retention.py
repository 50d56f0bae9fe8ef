"""Pure: which finished files have been kept long enough.

The inventory comes from the ledger, so nothing is ever pruned that retouchd did not put there,
and nothing that still waits. The dry run and the real one share this decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
    """A file system: which roles of the lane lie on it, and its free bytes."""

    roles: frozenset[Role]
    free: int


@dataclass(frozen=True)
class Doomed:
    """A file to delete, the rule that says so, and the reason in words."""

    file: Kept
    rule: Rule
    reason: str


@dataclass(frozen=True)
class Decision:
    """What to delete, in this order; ``braked`` says why nothing is deleted although due."""

    delete: tuple[Doomed, ...]
    braked: str | None = None


def decide(
    inventory: Iterable[Kept],
    rules: Retention,
    volumes: Sequence[Volume],
    *,
    now: float,
    last_seen_now: float | None,
    force: bool = False,
) -> Decision:
    """What one lane's rules delete of its inventory.

    volumes: those whose free space is known; ``min_free`` touches no others.
    now: epoch seconds. A file completed later than now (the clock went back) has no age.
    last_seen_now: the newest time that this lane went by before now; None or 0 if none. Each lane
        has its own: one with nothing to delete must not answer for another that was braked.

    The brake: when the clock stands more than 3 days beyond ``last_seen_now``, and more than
    ``rules.brake`` of the inventory and at least 20 files would go by age, nothing is deleted.
    The caller must not record ``now`` as seen then. ``force`` (`retouchd prune --force`) is the
    way through for a machine that was switched off for so long; ``brake: 1`` turns it off.
    """
    files = sorted(inventory, key=_oldest_first)
    doomed = [dead for role in ORDER for dead in _by_age(files, role, rules, now)]
    braked = None if force else _brake(len(doomed), len(files), rules.brake, now, last_seen_now)
    if braked:
        return Decision(delete=(), braked=braked)
    for name, roles in _CLASSES.items():
        doomed += _by_size(_left(files, doomed, roles), name, _keep(rules, roles[0]))
    if rules.min_free is not None:
        for volume in sorted(volumes, key=lambda v: (sorted(v.roles), v.free)):
            doomed += _by_free(files, doomed, volume, rules.min_free)
    return Decision(delete=tuple(doomed))


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


def _brake(due: int, total: int, brake: float, now: float, last_seen: float | None) -> str | None:
    jump = now - last_seen if last_seen else 0.0
    if jump <= CLOCK_JUMP or due < BRAKE_FROM or due <= brake * total:
        return None
    return (
        f"the clock stands {jump / 86400:.0f} days beyond the last recorded time, and {due} of "
        f"{total} files would go by age at once; nothing was deleted. If the clock is right, run "
        "`retouchd prune --force`; if it is wrong, set it"
    )


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
