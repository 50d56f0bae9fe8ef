"""Looks into folders through the hands, so that a share that hangs costs only its deadline."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from retouchd.call import Call
from retouchd.errors import RetouchdError, from_wire
from retouchd.hands import Hands
from retouchd.tenancy import Tenant

MEMORY = 2 << 30
_MOST_HANDS = 8

Identity = tuple[int, int, tuple[int, ...]]
"""uid, gid and all groups of a user."""


@dataclass(frozen=True)
class Wanted:
    """One folder to look into. count: whether to count the folders below it. tenant: of an inbox:
    the service that is to work with it, to see that it is nobody else's."""

    lane: str
    role: str
    path: str
    count: bool = False
    tenant: Tenant | None = None


@dataclass(frozen=True)
class Look:
    """What a folder is like.

    error: why it can't even be opened; nothing else is known then. trouble: why it can't be
    worked with. parent, creatable: for a folder that is missing. free: bytes. folders: it and those
    below it.
    """

    error: RetouchdError | None = None
    trouble: RetouchdError | None = None
    exists: bool = False
    parent: str = ""
    creatable: bool = False
    marker: str | None = None
    free: int = 0
    folders: int = 0


def identity_of(user: str) -> Identity | None:
    """Whose rights to try, None for our own: only root can try another's."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        return None
    return found.pw_uid, found.pw_gid, tuple(os.getgrouplist(user, found.pw_gid))


def look_into(
    wanted: Sequence[Wanted], identity: Identity | None, within: float
) -> Mapping[Wanted, Look]:
    """Look into all folders at once. within: seconds that each may take to answer."""
    lanes = len({folder.lane for folder in wanted})
    hands = Hands(min(len(wanted), _MOST_HANDS), lanes, MEMORY)
    try:
        with ThreadPoolExecutor(hands.size) as threads:
            looks = threads.map(lambda folder: _look(hands, folder, identity, within), wanted)
            return dict(zip(wanted, looks, strict=True))
    finally:
        hands.close()


def _look(hands: Hands, folder: Wanted, identity: Identity | None, within: float) -> Look:
    tenant = folder.tenant.wire if folder.tenant else None
    arguments = {"path": folder.path, "identity": identity, "count": folder.count, "tenant": tenant}
    try:
        found, _ = hands.call(
            Call("inspect", folder.lane, folder.path, within, arguments, looks=True)
        )
    except RetouchdError as error:
        return Look(error=error)
    trouble = found.pop("trouble", None)
    return Look(**found, trouble=from_wire(trouble) if trouble else None)
