"""What a process may do: every attempt is made, and what came of it is printed as JSON.

Runs by itself, with nothing but the standard library: ``python probe.py``. For the attempts that
need it, ``lay_out`` puts something there before.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helpers.container import Container

_LIBC = ctypes.CDLL(None, use_errno=True)
_MS_BIND, _NEW_MOUNTS, _NEW_USER = 4096, 0x00020000, 0x10000000
_TRACE_ME, _OTHER_PERSONALITY = 0, 0x0008
PRIVATE = ("/home/anna/private", "/root/private", "/tmp/private", "/dev/shm/private")
"""Files of others, which everybody may read as far as permissions go."""
ROOTS_OWN = "/opt/suid/id"
NODE = "/dev/somebodys"


def lay_out(container: Container) -> None:
    """Prepare a machine that runs."""
    for name in PRIVATE:
        folder = os.path.dirname(name)
        container.run("sh", "-c", f"mkdir -p {folder}; chmod 1777 {folder}; echo x >{name}")
    container.run("mkdir", "-p", os.path.dirname(ROOTS_OWN), "/mnt")
    container.run("install", "-m", "4755", "/usr/bin/id", ROOTS_OWN)
    container.run("mknod", "-m", "666", NODE, "c", "1", "3")


def _write(folder: str) -> None:
    path = Path(folder) / f"probe-{os.getpid()}"
    path.write_text("probe")
    path.unlink()


def _set(path: str) -> None:
    """Write to a file what is in it already."""
    text = Path(path).read_text()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _socket(family: int, kind: int) -> None:
    socket.socket(family, kind).close()


def _call(name: str, *arguments: int | bytes | None) -> None:
    if getattr(_LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _aside(attempt: Callable[[], object]) -> None:
    """In a child, for what can't be taken back."""
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
        except OSError as error:
            os._exit(error.errno or errno.EINVAL)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code if code > 0 else errno.EPERM, "in a child")


def _on_a_file(change: Callable[[str], object]) -> None:
    path = Path(f"/tmp/probe-{os.getpid()}")
    path.touch()
    try:
        change(str(path))
    finally:
        path.unlink()


def _node() -> None:
    path = f"/tmp/node-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.unlink(path)


def _become_root_by_program() -> None:
    shown = subprocess.run([ROOTS_OWN, "-u"], capture_output=True, text=True, check=True)
    if shown.stdout.strip() != "0":
        raise PermissionError(errno.EPERM, f"it ran as {shown.stdout.strip()}")


def _raise_limit() -> None:
    most = resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    except ValueError:
        raise PermissionError(errno.EPERM, "setrlimit") from None


def _real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


WRITES: dict[str, Callable[[], object]] = {
    f"write to {folder}": partial(_write, folder)
    for folder in ("/", "/etc", "/usr/local", "/opt", "/srv", "/home", "/home/anna", "/root")
} | {
    f"write to {folder}": partial(_write, folder)
    for folder in ("/var", "/var/lib", "/var/log", "/run", "/run/lock", "/etc/systemd/system")
}
ATTEMPTS: dict[str, Callable[[], object]] = {
    **WRITES,
    **{f"read {path}": partial(_read, path) for path in PRIVATE},
    "write to a device node": partial(_set, NODE),
    "change the kernel's settings": partial(_set, "/proc/sys/net/ipv4/ip_default_ttl"),
    "see another user's processes": partial(_read, "/proc/1/cmdline"),
    "open an internet socket": partial(_socket, socket.AF_INET, socket.SOCK_STREAM),
    "open an internet socket, version 6": partial(_socket, socket.AF_INET6, socket.SOCK_DGRAM),
    "open a netlink socket": partial(_socket, socket.AF_NETLINK, socket.SOCK_RAW),
    "open a packet socket": partial(_socket, socket.AF_PACKET, socket.SOCK_RAW),
    "become root": partial(_aside, partial(os.setresuid, 0, 0, 0)),
    "become root by a program": _become_root_by_program,
    "mount": partial(_aside, partial(_call, "mount", b"/srv", b"/mnt", None, _MS_BIND, None)),
    "make a mount namespace": partial(_aside, partial(_call, "unshare", _NEW_MOUNTS)),
    "make a user namespace": partial(_aside, partial(_call, "unshare", _NEW_USER)),
    "make a device node": _node,
    "give a file to somebody": partial(_on_a_file, lambda path: os.chown(path, 1, 1)),
    "make a program run as its owner": partial(_on_a_file, lambda path: os.chmod(path, 0o4755)),
    "name the machine": partial(socket.sethostname, socket.gethostname()),
    "run in real time": partial(_aside, _real_time),
    "run before others": partial(_aside, partial(os.nice, -5)),
    "be another architecture": partial(_aside, partial(_call, "personality", _OTHER_PERSONALITY)),
    "be traced": partial(_aside, partial(_call, "ptrace", _TRACE_ME, 0, None, None)),
    "signal the first process": partial(os.kill, 1, 0),
    "raise a limit": partial(_aside, _raise_limit),
    "change the root": partial(_aside, partial(os.chroot, "/srv")),
}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


if __name__ == "__main__":
    signal.alarm(60)
    json.dump({name: _outcome(attempt) for name, attempt in ATTEMPTS.items()}, sys.stdout)
