"""What the machine offers: user, limits, memory, clock, versions."""

from __future__ import annotations

import os
import platform
import pwd
import resource
from pathlib import Path

from retouchd import __version__, memory
from retouchd.config import Config
from retouchd.config.units import show_size
from retouchd.doctor.finding import Finding, fine, warning
from retouchd.doctor.looks import Identity
from retouchd.machinery import hands_for

_INOTIFY = Path("/proc/sys/fs/inotify")
_TIMESYNC = Path("/run/systemd/timesync")
_FILES_PER_HAND = 16
_BYTES_PER_PIXEL = 16  # 8-bit RGB: the photo, the result, the encoder's and the check's copy


def judge_user(uid: int, user: str, identity: Identity | None) -> Finding:
    """Whose rights were checked. uid: ours. user: the service's, tried where identity is given."""
    if uid != 0:
        return fine("user", f"checked with the rights of {_name(uid)}")
    if identity:
        return fine("user", f"folders were tried with the rights of {user}")
    return warning(
        "user",
        f"this is root and there is no user {user}, so that every folder seems writable",
        "Run doctor as the user that the service runs as: sudo -u USER retouchd doctor. "
        "`retouchd service install` prepares such a user.",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def judge_inotify(lanes: int, folders: int, instances: int, watches: int) -> Finding:
    """Whether the kernel grants enough watches.

    lanes, folders: to be watched by events. instances, watches: what one user may have.
    """
    check = "inotify"
    # Other programs of the user take from the same limits.
    if folders * 1.25 > watches or lanes + 2 > instances:
        return warning(
            check,
            f"{lanes} inboxes with {folders} folders are to be watched, but one user may have "
            f"{instances} instances and {watches} watches; what is over is only listed from "
            "time to time",
            "Put fs.inotify.max_user_watches=524288 and fs.inotify.max_user_instances=512 into "
            "/etc/sysctl.d/60-retouchd.conf and run `sudo sysctl --system`.",
        )
    return fine(check, f"{folders} of {watches} watches and {lanes} of {instances} instances")


def inotify_limits() -> tuple[int, int] | None:
    """Instances and watches that one user may have; None where the kernel does not say."""
    try:
        instances, watches = (
            int((_INOTIFY / name).read_text())
            for name in ("max_user_instances", "max_user_watches")
        )
    except (OSError, ValueError):
        return None
    return instances, watches


def judge_synchronisation(folder: Path = _TIMESYNC) -> list[Finding]:
    """Whether systemd-timesyncd has set the clock; nothing where it does not run."""
    if not folder.is_dir():
        return []
    if (folder / "synchronized").exists():
        return [fine("time server", "the clock is synchronised")]
    remedy = "Look at `timedatectl`; outputs are dated and pruned by this clock."
    return [warning("time server", "the clock has not been synchronised since the start", remedy)]


def judge_memory(config: Config, total: int) -> Finding:
    """Whether the largest photos fit. total: the machine's memory in bytes."""
    pixels = max(lane.limits.max_pixels for lane in config.lanes)
    needed = pixels * _BYTES_PER_PIXEL
    photo = f"a photo of {pixels / 1e6:.0f} MP, the largest allowed, takes about"
    if needed > total:
        return warning(
            "memory",
            f"{photo} {show_size(needed)}, and the machine has {show_size(total)}",
            "Lower limits.max_pixels, or add memory; such a photo would be tried again and again.",
        )
    return fine("memory", f"{show_size(total)}; {photo} {show_size(needed)}")


def judge_files(config: Config, allowed: int) -> Finding:
    """Whether enough files can be open. allowed: the soft limit of this process."""
    hands = hands_for(config).size
    needed = 256 + hands * _FILES_PER_HAND + 4 * len(config.lanes)
    if allowed < needed:
        return warning(
            "open files",
            f"{allowed} are allowed, about {needed} are needed",
            "Raise LimitNOFILE in the unit, or `ulimit -n` in this shell.",
        )
    return fine("open files", f"{allowed} are allowed; {hands} workers on {os.cpu_count()} cores")


def versions() -> Finding:
    """What is installed."""
    import cv2
    import PIL

    found = (
        f"retouchd {__version__}, Python {platform.python_version()}, OpenCV {cv2.__version__}, "
        f"Pillow {PIL.__version__}, {platform.system()} {platform.release()}"
    )
    return fine("versions", found)


def judge_machine(config: Config, lanes: int, folders: int) -> list[Finding]:
    """All of the above but the user. lanes, folders: to be watched by events."""
    total = memory.there_is()
    limits = inotify_limits()
    return [
        *([judge_inotify(lanes, folders, *limits)] if limits else []),
        *judge_synchronisation(),
        judge_memory(config, total),
        judge_files(config, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        versions(),
    ]
