"""Pure: the folders that every job of a lane needs at this moment.

What is in the way of all of them is the lane's trouble; in the way of some, it is theirs alone: a
photo in a folder that is called like an earlier output must not stop the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from retouchd.config import Lane
from retouchd.errors import InTheWay
from retouchd.naming import common_folder


def folder_of_day(now: float) -> str:
    """The dated folder of an archive or a quarantine, in local time. now: epoch seconds."""
    return datetime.fromtimestamp(now).astimezone().strftime("%Y-%m-%d")


def ways(lane: Lane, now: float) -> Mapping[str, str]:
    """Role → the folder below that root into which all files go now; ``""`` is the root.

    now: epoch seconds.
    """
    local, day = datetime.fromtimestamp(now).astimezone(), folder_of_day(now)
    outputs = common_folder(lane.output.path, local, lane.name)
    return {"outbox": outputs, "review": outputs, "archive": day, "failed": day}


def blocks_all(error: InTheWay, lane: Lane, now: float) -> bool:
    """Whether it is in the way of every job of the lane."""
    way = ways(lane, now).get(str(error.facts.get("role")), "")
    return f"{way}/".startswith(f"{error.facts.get('folder')}/")
