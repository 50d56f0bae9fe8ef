"""What one run of `once` came to, for the person who started it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from retouchd.errors import printable
from retouchd.job import Job, State
from retouchd.lanes import LaneState
from retouchd.ledger import LedgerReader
from retouchd.waiting import missing

UNFINISHED = (State.READY, State.RUNNING, State.PUBLISHED, State.FAILED)
"""States that no job should be in when everything is done that can be done now."""
_CUT = "It was stopped before every inbox had been looked at; the next start goes on."


@dataclass(frozen=True)
class Ending:
    """done, set_aside: jobs of this run. waiting: what jobs wait for, to how many do. unfinished:
    jobs that could not be brought to an end. reasons: what kept it from doing all, in sentences."""

    done: int
    set_aside: int
    waiting: Mapping[str, int]
    unfinished: int
    reasons: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code."""
        if self.reasons:
            return 75
        return 3 if self.set_aside else 0

    def line(self, see: str) -> str:
        """All of it in a line. see: the command that lists what was set aside."""
        parts = [f"{self.done} done"] if self.done else []
        parts += [f"{_wait(count)} {what}" for what, count in self.waiting.items()]
        parts += [f"{self.unfinished} not finished"] if self.unfinished else []
        # Last, because the command belongs to it.
        parts += [f"{self.set_aside} set aside: see `{see}`"] if self.set_aside else []
        return ", ".join(parts) or ("nothing done" if self.reasons else "nothing to do")


def ending(
    lanes: Iterable[LaneState],
    ledger: LedgerReader,
    local: datetime,
    *,
    done: int,
    set_aside: int,
    unseen: Collection[str],
    cut: bool = False,
) -> Ending:
    """What there is to say when a run ends at that local time; raises sqlite3.Error.

    unseen: names of lanes whose inbox could not be looked at. cut: whether it was stopped while
    files were still arriving or inboxes still to be listed.
    """
    waiting: Counter[str] = Counter()
    reasons = [_CUT] if cut else []
    unfinished = 0
    for lane in lanes:
        for job in ledger.jobs((State.WAITING,), lane=lane.name):
            what = missing(job)
            waiting[f"for a {what}" if what else "to be still"] += 1
        left = ledger.jobs(UNFINISHED, lane=lane.name)
        unfinished += len(left)
        reasons += _reasons(lane, left, local, seen=lane.name not in unseen)
    return Ending(done, set_aside, dict(waiting.most_common()), unfinished, tuple(reasons))


def _reasons(lane: LaneState, left: list[Job], local: datetime, *, seen: bool) -> list[str]:
    name, pause, hours = lane.name, lane.pause, lane.config.schedule.active
    if pause:
        return [f"Lane {name} is paused: {pause.reason} {pause.remedy}"]
    if not seen:
        return [f"The inbox of lane {name} could not be looked at; the log says why."]
    if hours and left and not lane.config.schedule.allows(local):
        when = f"between {hours[0]:%H:%M} and {hours[1]:%H:%M}"
        return [f"Lane {name} works {when} only; {_wait(len(left))} for that."]
    return [_told(lane, left)] if left else []


def _wait(count: int) -> str:
    return f"{count} {'waits' if count == 1 else 'wait'}"


def _told(lane: LaneState, left: list[Job]) -> str:
    """Why jobs are left although their lane works."""
    met = next((job for job in left if job.error), None)
    again = "The next start goes on."
    if met is None:
        return f"It ended before all of lane {lane.name} was done: {len(left)} left. {again}"
    return f"Not finished in lane {lane.name}: {printable(met.name)}. {met.error} {again}"
