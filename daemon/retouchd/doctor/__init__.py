"""What is wrong with this machine, and what to do about it: gather, then judge."""

from __future__ import annotations

import os
from collections.abc import Sequence

from retouchd.clock import Clock
from retouchd.config import Config, Lane
from retouchd.doctor.backgrounds import judge_backgrounds
from retouchd.doctor.finding import Finding, Level
from retouchd.doctor.folders import by_events, judge_folder, judge_watching
from retouchd.doctor.looks import Identity, Look, Wanted, identity_of, look_into
from retouchd.doctor.machine import judge_machine, judge_user
from retouchd.doctor.models import judge_models
from retouchd.doctor.state import judge_clock, judge_state_folder, open_reader
from retouchd.ledger import LedgerReader, lock_of
from retouchd.ledger.ident import id_of
from retouchd.mounts import Mount, mount_of, read_mounts
from retouchd.tenancy import Tenant, here

__all__ = ["Finding", "Level", "examine"]

PATIENCE = 20.0
"""Seconds that a folder may take to answer: disks of a sleeping file server need ten."""


def examine(
    config: Config,
    *,
    user: str = "retouchd",
    within: float = PATIENCE,
    clock: Clock | None = None,
    mounts: Sequence[Mount] | None = None,
) -> tuple[Finding, ...]:
    """Check everything that a service of this configuration needs; changes nothing.

    user: whose rights are tried where this process is root's and the user exists. within: seconds
    that each folder may take. mounts: None reads the machine's. A hidden file is written to each
    folder and deleted at once, because nothing else tells whether a share can be written.
    """
    mounts = read_mounts() if mounts is None else mounts
    identity = identity_of(user)
    state = Wanted("", "state", str(config.state))
    # First: the inboxes are asked whether they belong to this ledger.
    [look] = look_into([state], identity, within).values()
    mount = mount_of(state.path, mounts)
    reader, ledger = _ledger(config, look, mount, identity)
    try:
        if reader:
            ledger.append(judge_clock(reader.newest_clock(), (clock or Clock()).now()))
        ours = _tenant(config) if _near(look, mount) else None
        wanted = [
            _wanted(x, role, config, mounts, ours) for x in config.lanes for role in x.folders
        ]
        looks = look_into(wanted, identity, within)
        folders = [_folder(config, look, looks[look], reader) for look in wanted]
    finally:
        if reader:
            reader.close()
    watched = [look for look in wanted if look.count]
    return (
        judge_user(os.geteuid(), user, identity),
        *ledger,
        *folders,
        *(judge_watching(x, config.scan, mount_of(str(x.inbox), mounts)) for x in config.lanes),
        *judge_machine(config, len(watched), sum(looks[look].folders for look in watched)),
        *judge_models(config),
        *judge_backgrounds(config, identity, within),
    )


def _wanted(
    lane: Lane, role: str, config: Config, mounts: Sequence[Mount], ours: Tenant | None
) -> Wanted:
    path = str(lane.folders[role])
    if role != "inbox":
        return Wanted(lane.name, role, path)
    return Wanted(lane.name, role, path, by_events(config.scan, mount_of(path, mounts)), ours)


def _near(state: Look, mount: Mount | None) -> bool:
    """Whether the ledger can be opened: a share that hangs would take this process with it."""
    return not (state.error or (mount and mount.remote))


def _tenant(config: Config) -> Tenant:
    """The service that would run with this configuration."""
    ledger = config.state / "ledger.sqlite3"
    return here(id_of(ledger), lock_of(ledger))


def _ledger(
    config: Config, look: Look, mount: Mount | None, identity: Identity | None
) -> tuple[LedgerReader | None, list[Finding]]:
    folder = judge_state_folder(config.state, look, mount)
    if not _near(look, mount):
        return None, [folder]
    reader, file = open_reader(config, identity)
    return reader, [folder, *file]


def _folder(config: Config, wanted: Wanted, look: Look, reader: LedgerReader | None) -> Finding:
    lane = next(lane for lane in config.lanes if lane.name == wanted.lane)
    known = reader.root(lane.name, wanted.role) if reader else None
    return judge_folder(lane, wanted.role, look, known)
