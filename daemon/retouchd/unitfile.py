"""Pure: the texts of the systemd files, fitted to a configuration.

The files that come with retouchd are the templates: comments and everything that does not depend
on the site are kept. Formats: systemd.syntax(7), sysusers.d(5), tmpfiles.d(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from retouchd.config import Config, Lane
from retouchd.mounts import Mount, mount_of

STATE = Path("/var/lib/retouchd")
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")


def render_unit(
    template: str, config: Config, command: Sequence[str], user: str, reads: Sequence[Path]
) -> str:
    """The service unit. command: absolute program and its arguments. reads: folders that the
    program itself needs, which decide whether home folders can be hidden."""
    writes = writable(config)
    lines: dict[str, str | None] = {
        "ExecStart": " ".join(_command(command)),
        "User": user,
        "Group": user,
        "ReadWritePaths": " ".join(quoted(f"-{path}") for path in writes),
    }
    if config.state != STATE:
        lines |= {"StateDirectory": None, "StateDirectoryMode": None}
        lines["WorkingDirectory"] = f"-{_percent(str(config.state))}"
        lines["Environment"] = quoted(f"HOME={config.state}")
    everything = [*writes, *reads, Path(command[0]), config.models_folder]
    if any(inside(path, _HOMES) for path in everything):
        lines["ProtectHome"] = "read-only"
    if any(inside(path, _TEMPORARY) for path in everything):
        lines["PrivateTmp"] = "no"
    return _with(template, lines)


def render_sysusers(template: str, config: Config, user: str) -> str:
    """The sysusers.d file, which creates the service user."""
    home = quoted(str(config.state))
    line = f'u {user} - "retouchd, the watch-folder retoucher" {home}'
    return _after_comments(template, [line])


def render_tmpfiles(template: str, config: Config, user: str, mounts: Sequence[Mount]) -> str:
    """The tmpfiles.d file, which creates the lanes' local folders. mounts: what is mounted now."""
    away = {folder for folder, _ in remote_folders(config, mounts)}
    owner = f":{user} :{user} -"
    lines = [
        f"d {quoted(str(folder))} :2775 {owner}"
        for folder in dict.fromkeys(f for lane in config.lanes for f in lane.folders.values())
        if folder not in away
    ]
    # The unit makes its default state folder by itself, but `doctor` looks before the first start.
    lines.append(f"d {quoted(str(config.state))} :0750 {owner}")
    return _after_comments(template, lines)


def writable(config: Config) -> tuple[Path, ...]:
    """The folders that the service has to write to, none inside another.

    Each becomes a mount of its own in the service's view, and a rename from one mount to another
    fails (EXDEV), which turns every archiving into a copy. So folders beside each other are
    opened by their common parent.
    """
    found = [path for lane in config.lanes for path in _opened(lane)]
    if config.state != STATE:
        found.append(config.state)
    found = sorted({Path(os.path.normpath(path)) for path in found})
    return tuple(p for p in found if not any(other in p.parents for other in found))


def _opened(lane: Lane) -> list[Path]:
    folders = list(lane.folders.values())
    parents = [folder.parent for folder in folders]
    return [
        # Never the root or a folder like /srv, which belongs to others as well.
        parent if parents.count(parent) > 1 and len(parent.parts) > 2 else folder
        for folder, parent in zip(folders, parents, strict=True)
    ]


def remote_folders(config: Config, mounts: Sequence[Mount]) -> list[tuple[Path, Mount]]:
    """The lanes' folders that lie on file servers, and what is mounted there."""
    folders = dict.fromkeys(f for lane in config.lanes for f in lane.folders.values())
    found = [(folder, mount_of(str(folder), mounts)) for folder in folders]
    return [(folder, mount) for folder, mount in found if mount and mount.remote]


def inside(path: Path, folders: Sequence[str]) -> bool:
    """Whether ``path`` is one of the folders or lies in one."""
    return any(Path(folder) in (path, *path.parents) for folder in folders)


def quoted(text: str) -> str:
    """A word of printable characters as systemd reads it: quoted where needed, % doubled."""
    escaped = _percent(text).replace("\\", "\\\\").replace('"', '\\"')
    plain = text and not any(c.isspace() or c in "'\"\\;" for c in text)
    return escaped if plain else f'"{escaped}"'


def _command(parts: Sequence[str]) -> list[str]:
    """$ names a variable in arguments, but stands for itself in the program's path."""
    program, *arguments = map(quoted, parts)
    return [program, *(argument.replace("$", "$$") for argument in arguments)]


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _with(template: str, lines: Mapping[str, str | None]) -> str:
    """The unit with the values of some keys replaced, or their lines left out for None."""
    result = []
    for line in template.splitlines():
        key, equals, _ = line.partition("=")
        if not equals or key not in lines:
            result.append(line)
        elif lines[key] is not None:
            result.append(f"{key}={lines[key]}")
    return "\n".join(result) + "\n"


def _after_comments(template: str, lines: Sequence[str]) -> str:
    comments = [line for line in template.splitlines() if line.startswith("#")]
    return "\n".join([*comments, *lines]) + "\n"
