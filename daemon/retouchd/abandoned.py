"""Hands that were killed and are not dead yet: a share that hangs holds them in the kernel."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Protocol

from retouchd.call import Call

_DYING = 1.0
"""Seconds in which a killed process is gone, unless it hangs in the kernel."""


class Process(Protocol):
    """What is needed of a ``subprocess.Popen``."""

    def poll(self) -> int | None:
        """Its exit status, None while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises TimeoutExpired."""


class Verdict(Enum):
    """What to do with a call."""

    ASK = auto()
    ASKED = auto()  # the hand that was asked the same still hangs over it
    DOUBTED = auto()  # its lane's share may hang; asking would only cost another hand


@dataclass(frozen=True)
class _Held:
    process: Process
    lane: str
    question: tuple[str, str]
    at: float


class Abandoned:
    """Remembers each with its lane and what it was asked. Not for several threads at once.

    A lane is in doubt from a call that was not answered in time until one is answered, as long as
    the hand is held. Then only who looks asks anything, and nobody asks the same again.
    """

    def __init__(self) -> None:
        self._held: list[_Held] = []
        self._doubts: set[str] = set()

    def add(self, process: Process, call: Call | None) -> None:
        """Take a process that was killed just now. call: what it was asked, if anything."""
        self._bury()
        lane, question = (call.lane, _question(call)) if call else ("", ("", ""))
        self._held.append(_Held(process, lane, question, time.monotonic()))

    def doubt(self, lane: str) -> None:
        """A call was not answered in time."""
        self._doubts.add(lane)

    def trust(self, lane: str) -> None:
        """A call was answered."""
        self._doubts.discard(lane)

    def verdict(self, call: Call, most: int) -> Verdict:
        """Whether to ask. most: how many may be held of one lane before nothing but looking goes on
        in it, for they fill the memory until the share is back."""
        self._bury()
        mine = [one for one in self._held if one.lane == call.lane]
        held = [one for one in mine if one.at < time.monotonic() - _DYING]
        if any(one.question == _question(call) for one in held):
            return Verdict.ASKED
        doubted = len(held) >= most or (mine and call.lane in self._doubts)
        return Verdict.DOUBTED if doubted and not call.looks else Verdict.ASK

    def forgive(self, lane: str) -> None:
        """What holds a lane's hands is no longer what the lane works on."""
        self.trust(lane)
        self._held = [replace(o, lane="") if o.lane == lane else o for o in self._held]

    def processes(self) -> list[Process]:
        """Those that have not been seen dead."""
        return [one.process for one in self._held]

    def _bury(self) -> None:
        self._held = [one for one in self._held if one.process.poll() is None]


def _question(call: Call) -> tuple[str, str]:
    # Whichever way somebody looks at a folder that hangs, it hangs.
    return "" if call.looks else call.task, call.subject
