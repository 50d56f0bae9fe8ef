"""One snapshot of the ledger and the running service, as text, JSON or live facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retouchd import __version__
from retouchd.config import Config
from retouchd.config.units import show_duration
from retouchd.errors import StartError
from retouchd.job import State
from retouchd.lanes import Lanes
from retouchd.ledger import LedgerReader
from retouchd.live import read_live
from retouchd.mounts import mount_of, read_mounts
from retouchd.origin import difference

_ASIDE = (
    "what is quarantined lies in failed/, each with a text that says why; mend it and drop it "
    "again, or `{retry}`"
)
_WINDOW = 600.0
_SHORTEST = 5.0


@dataclass(frozen=True)
class LaneStatus:
    """One lane. watching: events or scan. paused: the reason, None while it works."""

    name: str
    inbox: str
    task: str
    model: str
    watching: str
    paused: str | None
    remedy: str | None
    file_system: str
    settling: int
    jobs: dict[str, int]


@dataclass(frozen=True)
class Status:
    """Everything that `status` tells. rate: see ``jobs_a_minute``.

    lanes: those that run, else those that would. begun: whether there is a ledger. file: what a
    running service has its configuration from. differs, advice: how that file differs from what is
    in force, and what to do about it. ledger_trouble, ledger_remedy: why the running service can't
    write the ledger, and what to do.
    """

    jobs: dict[str, int]
    lanes: tuple[LaneStatus, ...]
    device: str
    version: str
    running: bool
    pid: int | None
    since: float | None
    rate: float
    ledger: str
    begun: bool = True
    file: str | None = None
    differs: str | None = None
    advice: str | None = None
    ledger_trouble: str | None = None
    ledger_remedy: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values; a stable contract: keys are added, never taken away."""
        return asdict(self)


def live_facts(
    lanes: Lanes,
    device: str,
    pid: int,
    since: float,
    *,
    watch: str = "auto",
    origin: Mapping[str, Any] | None = None,
    ledger: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the service writes for ``read_status``. watch: as configured. origin: ``Origin``'s.
    ledger: ``Condition``'s facts."""
    return {
        "pid": pid,
        "since": since,
        "device": device,
        "watch": watch,
        "origin": dict(origin or {}),
        "ledger": dict(ledger or {}),
        "lanes": {
            lane.name: {
                "inbox": str(lane.config.inbox),
                "task": lane.config.task,
                "model": lane.config.model,
                "watching": lane.watching,
                "paused": lane.pause.reason if lane.pause else None,
                "remedy": lane.pause.remedy if lane.pause else None,
                "file_system": lane.file_system,
                "settling": lane.settling,
            }
            for lane in lanes
        },
    }


def read_status(config: Config, ledger: LedgerReader | None, now: float) -> Status:
    """The snapshot; ``ledger`` is None before the first start."""
    live = read_live(config.state)
    facts = (live or {}).get("lanes", {})
    lanes = {
        lane.name: {
            "inbox": str(lane.inbox),
            "task": lane.task,
            "model": lane.model,
            **facts.get(lane.name, {}),
        }
        for lane in config.lanes
    }
    return _status(config.state, lanes, live, ledger, now, config.scan.watch)


def read_running(
    state: Path,
    live: Mapping[str, Any],
    ledger: LedgerReader | None,
    now: float,
    trouble: StartError,
) -> Status:
    """The snapshot of a service whose file can't be used now. live: see ``read_live``. trouble: why
    it can't."""
    return _status(state, {}, live, ledger, now, "auto", trouble)


def _status(
    state: Path,
    configured: Mapping[str, Any],
    live: Mapping[str, Any] | None,
    ledger: LedgerReader | None,
    now: float,
    watch: str,
    trouble: StartError | None = None,
) -> Status:
    live = live or {}
    by_lane = ledger.counts_by_lane() if ledger else {}
    counts = ledger.counts() if ledger else dict.fromkeys(State, 0)
    # One that was started by an earlier version tells of its lanes only how they are.
    running = {name: lane for name, lane in live.get("lanes", {}).items() if "inbox" in lane}
    origin, since = live.get("origin") or {}, live.get("since")
    stuck = live.get("ledger") or {}
    differs = difference(origin, trouble)
    return Status(
        jobs={state.value: counts[state] for state in State},
        lanes=tuple(
            _lane(name, lane, by_lane.get(name, {}), live.get("watch", watch))
            for name, lane in (running or configured).items()
        ),
        device=live.get("device", "not running"),
        version=__version__,
        running=bool(live),
        pid=live.get("pid"),
        since=since,
        rate=jobs_a_minute(ledger, since, now) if ledger else 0.0,
        ledger=str(state / "ledger.sqlite3"),
        begun=ledger is not None,
        file=origin.get("file"),
        differs=differs.cause if differs else None,
        advice=differs.remedy if differs else None,
        ledger_trouble=stuck.get("trouble"),
        ledger_remedy=stuck.get("remedy"),
    )


def jobs_a_minute(ledger: LedgerReader, since: float | None, now: float) -> float:
    """Finished jobs per minute over the last ten minutes, or since the service started.

    since: that start, in seconds since the epoch; None if no service runs.
    """
    window = _WINDOW if since is None else min(max(now - since, _SHORTEST), _WINDOW)
    return ledger.done_since(now - window) * 60 / window


def _lane(
    name: str, facts: Mapping[str, Any], counts: Mapping[State, int], watch: str
) -> LaneStatus:
    mount = mount_of(facts["inbox"], read_mounts())
    far = mount is None or mount.remote
    # Until its intake has looked, or while none runs.
    guess = watch if watch != "auto" else "scan" if far else "events"
    return LaneStatus(
        name=name,
        inbox=facts["inbox"],
        task=facts["task"],
        model=facts["model"],
        watching=facts.get("watching") or guess,
        paused=facts.get("paused"),
        remedy=facts.get("remedy"),
        file_system=facts.get("file_system") or (mount.kind if mount else "unknown"),
        settling=facts.get("settling", 0),
        jobs={state.value: counts.get(state, 0) for state in State},
    )


def status_text(status: Status, retry: str = "retouchd retry --failed") -> list[str]:
    """The snapshot as lines for a person. retry: the command that tries again what failed."""
    head = f"retouchd {status.version}, " + (
        f"running (process {status.pid}) on {status.device}" if status.running else "not running"
    )
    lines = [head, _counts(status)]
    if status.jobs["running"] and not status.running:
        lines.append("what was interrupted is taken up at the next start")
    if status.ledger_trouble:
        lines += [f"PAUSED: {status.ledger_trouble}", f"  {status.ledger_remedy}"]
    if status.jobs["quarantined"]:
        lines.append(_ASIDE.format(retry=retry))
    if not status.begun:
        lines.append(f"nothing has worked here so far: there is no {status.ledger}")
    if status.rate and status.running:
        left = status.jobs["ready"] + status.jobs["running"]
        eta = f", {show_duration(math.ceil(left / status.rate) * 60.0)} left" if left else ""
        lines.append(f"{status.rate:.1f} jobs a minute{eta}")
    for lane in status.lanes:
        lines += _lane_lines(lane)
    if status.differs:
        lines += [f"THE FILE DIFFERS: {status.differs}", f"  {status.advice}"]
    return lines


def _counts(status: Status) -> str:
    named = status.jobs.items()
    if not status.running:
        # A service that was killed could not say so; nobody works on them.
        named = {**status.jobs, "running": 0, "interrupted": status.jobs["running"]}.items()
    return ", ".join(f"{number} {state}" for state, number in named if number) or "no jobs yet"


def _lane_lines(lane: LaneStatus) -> list[str]:
    watching = "watched by events" if lane.watching == "events" else "scanned"
    lines = [
        f"lane {lane.name}: {lane.inbox} ({lane.file_system}, {watching}), "
        f"{lane.task} with {lane.model}"
    ]
    if lane.settling:
        lines.append(f"  {lane.settling} files are still arriving")
    if lane.paused:
        lines += [f"  PAUSED: {lane.paused}", f"  {lane.remedy}"]
    return lines
