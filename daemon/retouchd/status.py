"""One snapshot of the ledger and the running service, as text, JSON or live facts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from retouchd import __version__
from retouchd.config import Config, Lane
from retouchd.config.units import show_duration
from retouchd.job import State
from retouchd.lanes import Lanes
from retouchd.ledger import LedgerReader
from retouchd.live import read_live
from retouchd.mounts import mount_of, read_mounts

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
    """Everything that `status` tells. rate: see ``jobs_a_minute``."""

    jobs: dict[str, int]
    lanes: tuple[LaneStatus, ...]
    device: str
    version: str
    running: bool
    pid: int | None
    since: float | None
    rate: float
    ledger: str

    def to_json(self) -> dict[str, Any]:
        """As plain values; a stable contract: keys are added, never taken away."""
        return asdict(self)


def live_facts(lanes: Lanes, device: str, pid: int, since: float) -> dict[str, Any]:
    """What the service writes for ``read_status``."""
    return {
        "pid": pid,
        "since": since,
        "device": device,
        "lanes": {
            lane.name: {
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
    by_lane = ledger.counts_by_lane() if ledger else {}
    counts = ledger.counts() if ledger else dict.fromkeys(State, 0)
    facts = (live or {}).get("lanes", {})
    return Status(
        jobs={state.value: counts[state] for state in State},
        lanes=tuple(
            _lane(lane, facts.get(lane.name, {}), by_lane.get(lane.name, {}))
            for lane in config.lanes
        ),
        device=live["device"] if live else "not running",
        version=__version__,
        running=live is not None,
        pid=live["pid"] if live else None,
        since=live["since"] if live else None,
        rate=jobs_a_minute(ledger, live["since"] if live else None, now) if ledger else 0.0,
        ledger=str(config.state / "ledger.sqlite3"),
    )


def jobs_a_minute(ledger: LedgerReader, since: float | None, now: float) -> float:
    """Finished jobs per minute over the last ten minutes, or since the service started.

    since: that start, in seconds since the epoch; None if no service runs.
    """
    window = _WINDOW if since is None else min(max(now - since, _SHORTEST), _WINDOW)
    return ledger.done_since(now - window) * 60 / window


def _lane(lane: Lane, facts: dict[str, Any], counts: dict[State, int]) -> LaneStatus:
    mount = mount_of(str(lane.inbox), read_mounts())
    guess = "scan" if mount is None or mount.remote else "events"
    return LaneStatus(
        name=lane.name,
        inbox=str(lane.inbox),
        task=lane.task,
        model=lane.model,
        watching=facts.get("watching", guess),
        paused=facts.get("paused"),
        remedy=facts.get("remedy"),
        file_system=facts.get("file_system") or (mount.kind if mount else "unknown"),
        settling=facts.get("settling", 0),
        jobs={state.value: counts.get(state, 0) for state in State},
    )


def status_text(status: Status) -> list[str]:
    """The snapshot as lines for a person."""
    head = f"retouchd {status.version}, " + (
        f"running (process {status.pid}) on {status.device}" if status.running else "not running"
    )
    counts = ", ".join(f"{n} {state}" for state, n in status.jobs.items() if n) or "no jobs yet"
    lines = [head, counts]
    if status.rate:
        left = status.jobs["ready"] + status.jobs["running"]
        eta = f", {show_duration(math.ceil(left / status.rate) * 60.0)} left" if left else ""
        lines.append(f"{status.rate:.1f} jobs a minute{eta}")
    for lane in status.lanes:
        lines += _lane_lines(lane)
    return lines


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
