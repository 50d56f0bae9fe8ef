"""Pure: when a dropped file is there as a whole.

Only the monotonic clock counts. A file's own times are compared with each other, never with the
local clock, because the clock of a NAS may be hours off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from retouchd.job import FileStat

_SOONEST = 1.0
_LATEST = 60.0


@dataclass(frozen=True)
class Observation:
    """What is known about one name, in seconds of the monotonic clock.

    stat: as last seen. since: the first look at this very stat, with no writer in between.
    seen: the last look. first_seen: the first look at this name, whatever the stat was then.
    """

    stat: FileStat
    since: float
    seen: float
    first_seen: float


@dataclass(frozen=True)
class Settled:
    """The file was still for long enough; now its content is to be checked."""


@dataclass(frozen=True)
class Wait:
    """Not yet; look again at ``until`` (monotonic seconds)."""

    until: float


@dataclass(frozen=True)
class Ready:
    """The file is whole."""


@dataclass(frozen=True)
class TryAgain:
    """The content is not whole yet; check it again at ``at`` (monotonic seconds)."""

    at: float


@dataclass(frozen=True)
class GiveUp:
    """The content is not whole, and nobody has written to it for too long."""


def observe(previous: Observation | None, stat: FileStat, now: float, touched: bool) -> Observation:
    """The observation after a look that found ``stat`` at ``now``.

    touched: whether a writer's event came in since the previous look. It starts the clock anew
    even if the stat is the same, since file systems with coarse times hide a quick rewrite.

    Forget the previous observation (pass None) where looking was impossible in between, as on a
    share that was gone: time that nobody could write in must not count as stillness.
    """
    if previous is None:
        return Observation(stat, since=now, seen=now, first_seen=now)
    if touched or stat != previous.stat:
        return Observation(stat, since=now, seen=now, first_seen=previous.first_seen)
    return replace(previous, seen=now)


def decide(observation: Observation, settle_seconds: float, now: float) -> Settled | Wait:
    """Whether two looks at least ``settle_seconds`` apart found the same.

    Time that has passed since the last look proves nothing. A look at ``Wait.until`` that finds
    no change settles the file; with ``settle_seconds`` 0 a single look does.
    """
    due = observation.since + settle_seconds
    return Settled() if observation.seen >= due else Wait(until=max(due, now))


def after_check(
    observation: Observation, complete: bool, now: float, incomplete_after: float
) -> Ready | TryAgain | GiveUp:
    """What follows from a look into a settled file.

    complete: whether header and tail decode. An empty file never is: most copies start as one.
    incomplete_after: seconds from the last change after which an incomplete file is given up.

    Checks come at growing intervals, from 1 s to 60 s, with a last one at the deadline; a change
    of the file starts everything anew.
    """
    if complete and observation.stat.size > 0:
        return Ready()
    deadline = observation.since + incomplete_after
    if now >= deadline:
        return GiveUp()
    pause = min(max((now - observation.since) / 2, _SOONEST), _LATEST)
    return TryAgain(at=min(now + pause, deadline))
