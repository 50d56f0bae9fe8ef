"""A machine of its own with a real systemd, in a container: systemd-nspawn over this machine's /usr
and this interpreter's packages. Needs root; tests skip, with the reason, where it does not work."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers.running import eventually

SYSTEMD = Path("/usr/lib/systemd/systemd")
SOURCE = Path(__file__).parents[2]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
_GROUPS = "root:x:0:\nnogroup:x:65534:\n"
_OTHERS = ("dbus.service", "dbus.socket", "systemd-logind.service", "systemd-sysctl.service")
"""What this machine's systemd would start as well."""
_STARTER = """\
#!/opt/retouchd/bin/python3
from retouchd.cli import main

main()
"""


class Container:
    """root: its file system as this machine sees it. retouchd lies in /opt/retouchd and is not
    installed as a service yet. There is no network."""

    def __init__(self, folder: Path) -> None:
        _check()
        self.root, self._log = folder / "machine", folder / "machine.log"
        self._name = f"retouchd-{uuid.uuid4().hex[:8]}"
        self._process: subprocess.Popen[bytes] | None = None
        _build(self.root)
        try:
            self.boot()
        except RuntimeError as error:
            pytest.skip(f"systemd-nspawn does not work here: {error}")
        # libpython may be in a folder that only this machine knows.
        self.run("ldconfig")

    def boot(self) -> None:
        """Switch it on, and wait until it has started whatever starts by itself."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(self.root, self._name), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._await_boot()

    def _await_boot(self) -> None:
        eventually(lambda: self._up() or self._ended(), 60)
        if not self._up():
            self.close()
            raise RuntimeError(f"the container does not boot: {self._log.read_text()[-300:]}")

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _up(self) -> bool:
        with contextlib.suppress(LookupError):
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            return state in ("running", "degraded")
        return False

    @property
    def first(self) -> int:
        """The process number of its systemd, on this machine; LookupError while there is none."""
        if self._process is not None and not self._ended():
            for pid in _children(self._process.pid):
                if _namespaced(pid) == 1:
                    return pid
        raise LookupError("the container does not run")

    def run(
        self, *words: object, check: bool = True, timeout: float = 120, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """A command in it, as root, to its end."""
        inside = ("nsenter", "--target", str(self.first), "-m", "-u", "-i", "-n", "-p", "-C")
        done = subprocess.run(
            [*inside, "env", "-i", f"PATH={os.defpath}:/usr/sbin", "LC_ALL=C.UTF-8"]
            + [str(word) for word in words],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            start_new_session=True,
            **more,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    def reboot(self) -> None:
        """An orderly restart of the machine."""
        before = self.first
        self.run("systemctl", "reboot", check=False)
        assert eventually(lambda: not Path(f"/proc/{before}").exists(), 120)
        # Where it has no unit of its own, systemd-nspawn leaves the second start to its caller.
        if eventually(self._ended, 2):
            self.boot()
        else:
            self._await_boot()

    def cut(self) -> None:
        """Switch it off: everything in it dies at once."""
        os.kill(self.first, signal.SIGKILL)
        assert self._process
        self._process.wait(30)

    def close(self) -> None:
        """Switch it off for good."""
        if self._process is None:
            return
        with contextlib.suppress(LookupError, ProcessLookupError):
            os.kill(self.first, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._process.kill()
        self._process.wait(30)
        self._process = None
        _remove_groups(self._name)


def _check() -> None:
    if os.geteuid() != 0:
        pytest.skip("a container needs root")
    for tool in ("systemd-nspawn", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} (Debian: systemd-container, util-linux)")
    if not SYSTEMD.exists() or not Path("/bin").is_symlink():
        pytest.skip("this machine has no systemd in a merged /usr")
    for folder in (sysconfig.get_paths()["purelib"], str(SOURCE)):
        if os.stat(folder).st_mode & 0o005 != 0o005:
            pytest.skip(f"{folder} can't be read by the service's user")


def _build(root: Path) -> None:
    """The least that systemd boots from, and retouchd as the README installs it."""
    for name in ("usr", "etc", "var", "tmp", "run", "proc", "sys", "dev", "root", "home", "srv"):
        (root / name).mkdir(parents=True)
    for path in Path("/").iterdir():
        if path.is_symlink() and path.readlink().parts[:1] == ("usr",):
            (root / path.name).symlink_to(path.readlink())
    files = {
        "etc/passwd": _USERS,
        "etc/group": _GROUPS,
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "etc/os-release": "ID=retouchd-test\n",
        "etc/ld.so.conf": "/opt/python/lib\n",
        "opt/retouchd/pyvenv.cfg": "home = /opt/python/bin\ninclude-system-site-packages = false\n",
        "opt/retouchd/bin/retouchd": _STARTER,
        # Packages of its own would be looked for in vain: those of this interpreter are mounted.
        f"opt/retouchd/lib/{PYTHON}/site-packages/here.pth": "/opt/packages\n/opt/source/daemon\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "opt/retouchd/bin/retouchd").chmod(0o755)
    (root / "opt/retouchd/bin/python3").symlink_to(f"/opt/python/bin/{PYTHON}")
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    for unit in _OTHERS:
        (units / unit).symlink_to("/dev/null")


def _command(root: Path, name: str) -> list[str]:
    mounts = {
        "/usr": "/usr",
        sys.base_prefix: "/opt/python",
        sysconfig.get_paths()["purelib"]: "/opt/packages",
        str(SOURCE): "/opt/source",
    }
    command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", f"--machine={name}"]
    command += [f"--bind-ro={source}:{there}" for source, there in mounts.items()]
    # A part of /usr that is not read-only for everybody anyway.
    command += ["--tmpfs=/usr/local:mode=755", "--private-network", "--console=pipe"]
    command += ["--register=no", "--settings=no"]
    # It ends with the tests, however they end; and without its own hierarchy of control groups, as
    # all new systems have it, systemd would not hear that one is empty.
    dying = ["setpriv", "--pdeathsig", "TERM", "env", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"]
    groups = _make_groups(name)
    if groups is None:
        return [*dying, *command]
    into = "; ".join(f"echo $$ >{group}/cgroup.procs" for group in groups)
    return [*dying, "sh", "-ec", f'{into}; exec "$@"', "sh", *command, "--keep-unit"]


def _make_groups(name: str) -> Sequence[Path] | None:
    """Control groups of its own, so that two containers are not in each other's way; None where
    systemd runs this machine and will see to that."""
    if Path("/run/systemd/system").is_dir():
        return None
    groups = _groups(name)
    try:
        for group in groups:
            group.mkdir(exist_ok=True)
    except OSError as error:
        pytest.skip(f"control groups can't be made here: {error}")
    return groups


def _groups(name: str) -> list[Path]:
    """One in each hierarchy that a systemd cares for."""
    found = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(folder) / name)
    return found


def _remove_groups(name: str) -> None:
    for top in _groups(name):
        # From the leaves up: each is a folder of files that can't be deleted.
        for folder in sorted(top.rglob("*"), reverse=True):
            if folder.is_dir():
                with contextlib.suppress(OSError):
                    folder.rmdir()
        with contextlib.suppress(OSError):
            top.rmdir()


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in text.split()]
    return []


def _namespaced(pid: int) -> int | None:
    """A process's number in its own namespace."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("NSpid:")).split()[-1])
    return None
