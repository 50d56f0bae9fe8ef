"""Whether the pictures are there that lanes put behind their cut-outs."""

from __future__ import annotations

from retouchd.call import Call
from retouchd.config import Config, Lane
from retouchd.doctor.finding import Finding, fine, from_error
from retouchd.doctor.looks import MEMORY, Identity
from retouchd.errors import RetouchdError
from retouchd.hands import Hands


def judge_backgrounds(config: Config, identity: Identity | None, within: float) -> list[Finding]:
    """One finding per lane with such a picture. identity: whose rights to try, None for our own.
    within: seconds that each may take to be read."""
    wanted = [(lane.name, str(lane.matte.background)) for lane in config.lanes if _has_one(lane)]
    if not wanted:
        return []
    hands = Hands(2, len(wanted), MEMORY)
    try:
        return [_judge(hands, lane, path, identity, within) for lane, path in wanted]
    finally:
        hands.close()


def _has_one(lane: Lane) -> bool:
    return lane.task == "matte" and lane.matte.background is not None


def _judge(hands: Hands, lane: str, path: str, identity: Identity | None, within: float) -> Finding:
    check, arguments = f"lane {lane}, background", {"path": path, "identity": identity}
    try:
        hands.call(Call("see_background", lane, path, within, arguments, looks=True))
    except RetouchdError as error:
        return from_error(check, error)
    return fine(check, f"{path} can be used")
