"""Pure: what a look into the lanes' folders means."""

from __future__ import annotations

from retouchd.config import Lane, Scan
from retouchd.config.units import show_duration, show_size
from retouchd.doctor.finding import Finding, fine, from_error, problem, warning
from retouchd.doctor.looks import Look
from retouchd.errors import InboxTaken, RootLost
from retouchd.ledger import RootRow
from retouchd.mounts import Mount

_LITTLE = 1 << 30


def folder_check(lane: str, role: str) -> str:
    """How a finding names a lane's folder."""
    return f"lane {lane}, {role}"


def judge_folder(lane: Lane, role: str, look: Look, known: RootRow | None) -> Finding:
    """Whether a lane's folder can be used. known: how the ledger remembers it, if it was set up."""
    check, path = folder_check(lane.name, role), str(lane.folders[role])
    if look.error:
        return from_error(check, look.error)
    # A folder that the configuration has moved since is set up anew.
    lost = _lost(look, known) if known and known.path == path else None
    if lost:
        return from_error(check, RootLost(path=path, cause=lost, lane=lane.name))
    if not look.exists:
        return judge_missing(check, path, look)
    if isinstance(look.trouble, InboxTaken):
        # No lane resumes by itself where the start was refused.
        return problem(check, look.trouble.message, str(look.trouble.facts["fix"]))
    if look.trouble:
        return from_error(check, look.trouble)
    least = _LITTLE if role == "inbox" else lane.retention.min_free or _LITTLE
    return judge_space(check, path, look.free, least)


def _lost(look: Look, known: RootRow) -> str | None:
    if not look.exists:
        return "it is not there"
    if look.marker is None:
        return "it has no marker, so the share is not mounted or was replaced"
    if look.marker != known.marker:
        return "it has another folder's marker, so something else is mounted there"
    return None


def judge_missing(check: str, path: str, look: Look) -> Finding:
    """A folder that is not there and never was."""
    if look.creatable:
        return fine(check, f"{path} is made at the first start")
    return problem(
        check,
        f"{path} is not there and can't be made, because {look.parent} can't be written to",
        "Make it and give it to the user that the service runs as: "
        f"sudo install -d -o retouchd -g retouchd {path}",
    )


def judge_space(check: str, path: str, free: int, least: int) -> Finding:
    """A folder that can be used. free, least: bytes."""
    if free < least:
        return warning(
            check,
            f"{path} has {show_size(free)} left, less than {show_size(least)}",
            "Free some space there, keep less (retention in the configuration), or add disk.",
        )
    return fine(check, f"{path} can be read and written, {show_size(free)} free")


def judge_watching(lane: Lane, scan: Scan, mount: Mount | None) -> Finding:
    """How drops are noticed in a lane's inbox."""
    check = f"lane {lane.name}, watching"
    if mount is None:
        return warning(
            check,
            f"it is unknown which file system {lane.inbox} is on; it is listed every "
            f"{show_duration(scan.remote)}",
            "Let the service read /proc/self/mountinfo.",
        )
    where = f"{lane.inbox} is on {mount.kind} ({mount.source})"
    if scan.watch == "events" and mount.remote:
        return warning(
            check,
            f"{where}, where events tell nothing of what other computers write, but scan.watch "
            "is events",
            f"Set scan.watch to auto; it is then listed every {show_duration(scan.remote)}.",
        )
    if by_events(scan, mount):
        return fine(check, f"{where}; events tell of drops at once")
    every = scan.remote if mount.remote else scan.local
    return fine(check, f"{where}; it is listed every {show_duration(every)}")


def by_events(scan: Scan, mount: Mount | None) -> bool:
    """Whether inotify watches are placed in an inbox."""
    local = mount is not None and not mount.remote
    return scan.watch == "events" or (scan.watch == "auto" and local)
