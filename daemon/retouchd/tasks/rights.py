"""Whose rights a task is done with."""

from __future__ import annotations

import os
from collections.abc import Sequence

Identity = tuple[int, int, Sequence[int]]


def become(identity: Identity | None) -> None:
    """Go on as another user, for good. identity: uid, gid and groups; None for who we are. Only
    root can, and anybody else stays who he is."""
    if identity and os.geteuid() == 0:
        uid, gid, groups = identity
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
