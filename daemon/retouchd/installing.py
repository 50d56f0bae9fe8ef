"""What `retouchd service install` writes: the unit, its user, its folders, a first configuration.

Deciding (``plan_install``) is pure; ``look_around`` and ``apply`` do the reading and writing.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from retouchd.config import Config, load, parse
from retouchd.errors import CannotInstall, ConfigInvalid, StartError
from retouchd.mounts import Mount, read_mounts
from retouchd.resources import resource
from retouchd.unitfile import (
    inside,
    remote_folders,
    render_sysusers,
    render_tmpfiles,
    render_unit,
    writable,
)

UNIT = Path("/etc/systemd/system/retouchd.service")
SYSUSERS = Path("/etc/sysusers.d/retouchd.conf")
TMPFILES = Path("/etc/tmpfiles.d/retouchd.conf")
FIRST_CONFIG = """\
# The configuration of retouchd. `retouchd config show` prints every setting in force.
#
# Drop photo.jpg and photo_mask.png (white: remove this) into /srv/retouch/inbox.
# After a lane with another folder was added, run `retouchd service install` again, and the commands
# that it prints: the service may write only to folders that were here then.
lanes:
  - name: inpaint
    root: /srv/retouch      # inbox, outbox, archive and failed are folders in it
    model: patchmatch       # `retouchd models list` shows the others
"""

_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class PlannedFile:
    """A file to write. keep: once it is there it is the administrator's and stays as it is."""

    path: Path
    content: str
    mode: int = 0o644
    keep: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What a plan depends on besides the configuration.

    unit, sysusers, tmpfiles: the texts that come with retouchd. mounts: what is mounted now.
    reads: folders that the program itself is read from.
    """

    unit: str
    sysusers: str
    tmpfiles: str
    mounts: Sequence[Mount] = ()
    reads: Sequence[Path] = ()


def look_around() -> Surroundings:
    """The surroundings of this process; raises StartError for an incomplete installation."""
    folder = resource("systemd")
    unit, sysusers, tmpfiles = (
        (folder / name).read_text(encoding="utf-8")
        for name in ("retouchd.service", "retouchd-sysusers.conf", "retouchd-tmpfiles.conf")
    )
    here = (sys.prefix, sys.base_prefix, os.path.dirname(__file__))
    return Surroundings(unit, sysusers, tmpfiles, read_mounts(), tuple(map(Path, here)))


def own_executable() -> Path:
    """The `retouchd` command of the running interpreter; raises StartError where there is none."""
    found = Path(sys.executable).parent / "retouchd"
    if not found.is_file():
        raise StartError(cause=f"{found} is missing, so the unit would have nothing to start")
    return found


def config_to_install(config_path: Path, prefix: Path) -> Config:
    """The configuration below ``prefix``, or the first one; raises ConfigInvalid."""
    _check_absolute("--config", config_path)
    there = _below(prefix, config_path)
    return load(there) if there.exists() else parse(FIRST_CONFIG, "the first configuration")


def plan_install(
    config: Config,
    config_path: Path,
    executable: Path,
    user: str,
    prefix: Path,
    *,
    surroundings: Surroundings,
) -> tuple[PlannedFile, ...]:
    """The files that make a service of this configuration, to be written below ``prefix``.

    config_path, executable: absolute, as the service will see them. Raises ConfigInvalid.
    """
    _check_names(config_path, executable, user)
    _check_printable(config, executable, config_path)
    command = (str(executable), "run", "--config", str(config_path))
    reads = (*surroundings.reads, config_path)
    around = surroundings
    contents = {
        UNIT: render_unit(around.unit, config, command, user, reads),
        SYSUSERS: render_sysusers(around.sysusers, config, user),
        TMPFILES: render_tmpfiles(around.tmpfiles, config, user, around.mounts),
    }
    files = [PlannedFile(_below(prefix, path), text) for path, text in contents.items()]
    return (*files, PlannedFile(_below(prefix, config_path), FIRST_CONFIG, keep=True))


def _check_names(config_path: Path, executable: Path, user: str) -> None:
    _check_absolute("--config", config_path)
    _check_absolute("the program", executable)
    if set(str(executable)) & set("'\"\\"):
        raise ConfigInvalid(
            where="the program",
            cause=f"systemd starts nothing with quotes or backslashes in its path ({executable})",
            fix="Install retouchd in another folder, like /opt/retouchd.",
        )
    if not _USER_NAME.fullmatch(user):
        raise ConfigInvalid(
            where="--user",
            cause=f"{user!r} is not a name that a system user can have",
            fix="Use lower-case letters, digits, '-' and '_', like retouchd.",
        )


def _check_absolute(option: str, path: Path) -> None:
    if not path.is_absolute():
        raise ConfigInvalid(
            where=option,
            cause=f"{str(path)!r} is not an absolute path",
            fix="Give the whole path, like /etc/retouchd/config.yaml.",
        )


def _check_printable(config: Config, *others: Path) -> None:
    """A line break in a folder's name would be a line of its own in the unit."""
    for path in (*writable(config), config.state, *others):
        if not str(path).isprintable():
            raise ConfigInvalid(
                where=str(path),
                cause="systemd files can't name a folder with such characters",
                fix="Give the folder another name.",
            )


def _below(prefix: Path, path: Path) -> Path:
    return prefix / path.relative_to("/")


def remarks(
    config: Config, config_path: Path, executable: Path, surroundings: Surroundings
) -> tuple[str, ...]:
    """What the administrator has to know before the service is started."""
    found = [
        f"{folder} is on a file server ({mount.kind}): it is not created at boot; give the service "
        "user the right to write there. systemd/retouchd.service.d/nas.conf.example helps."
        for folder, mount in remote_folders(config, surroundings.mounts)
    ]
    closed = [p for p in (executable, config_path, *surroundings.reads) if inside(p, ("/root",))]
    if closed:
        found.append(
            f"{closed[0]} lies in /root, which the service user can't enter: install retouchd "
            "elsewhere (`/usr/bin/python3 -m venv /opt/retouchd`) and run this again from there."
        )
    return tuple(found)


def next_commands(
    config_path: Path, executable: Path, user: str, prefix: Path, *, again: bool = False
) -> tuple[str, ...]:
    """The commands that put the files to use. again: a service of this kind was there before."""
    root = "" if prefix == Path("/") else f" --root={quote(str(prefix))}"
    commands = [
        f"systemd-sysusers{root} retouchd.conf",
        f"systemd-tmpfiles{root} --create retouchd.conf",
    ]
    if root:
        return (*commands, f"systemctl{root} enable retouchd")
    return (
        *commands,
        f"sudo -u {user} {quote(str(executable))} doctor --config {quote(str(config_path))}",
        "systemctl daemon-reload",
        "systemctl enable --now retouchd",
        # A running service keeps the old view of the folders until it starts anew.
        *(("systemctl restart retouchd",) if again else ()),
    )


def preview(files: Iterable[PlannedFile]) -> tuple[str, ...]:
    """What ``apply`` would do, one line for each file; raises CannotInstall."""
    return tuple(_step(file)[0] for file in files)


def apply(files: Iterable[PlannedFile]) -> tuple[str, ...]:
    """Write the files and say what was done, one line for each. Raises CannotInstall.

    A file that is there and differs is kept beside the new one under a free name in .bak, which
    systemd does not read.
    """
    done = []
    for file in files:
        text, backup, write = _step(file)
        if write:
            with _trouble(file.path):
                _write(file, backup)
        done.append(text)
    return tuple(done)


def _step(file: PlannedFile) -> tuple[str, Path | None, bool]:
    """What to say, the name for what is there, and whether to write at all."""
    with _trouble(file.path):
        there = file.path.read_bytes() if os.path.lexists(file.path) else None
    if there is None:
        return f"wrote {file.path}", None, True
    if file.keep:
        return f"kept {file.path}, which is yours", None, False
    if there == file.content.encode():
        return f"left {file.path}, which is right already", None, False
    backup = _free_name(file.path)
    return f"replaced {file.path}; the old one is {backup}", backup, True


def _free_name(path: Path) -> Path:
    number = 1
    while True:
        name = path.with_name(f"{path.name}.{number}.bak" if number > 1 else f"{path.name}.bak")
        if not os.path.lexists(name):
            return name
        number += 1


def _write(file: PlannedFile, backup: Path | None) -> None:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.path.with_name(f".{file.path.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), file.mode)
        out.write(file.content)
        out.flush()
        os.fsync(out.fileno())
    if backup:
        # A second name for the old file, so that there is no moment without a unit.
        os.link(file.path, backup, follow_symlinks=False)
    os.replace(temporary, file.path)


@contextlib.contextmanager
def _trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotInstall(path=path, cause=error.strerror or str(error)) from None
