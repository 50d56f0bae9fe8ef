"""What a program and all it started asked the kernel for, seen from outside."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_CALLS = (
    *("execve", "execveat", "connect", "bind", "listen", "open", "openat", "openat2", "creat"),
    *("mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
    *("link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod", "fchmodat"),
    *("truncate", "ptrace", "mount"),
)
_WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
_PATHS = re.compile(r'"((?:[^"\\]|\\.)*)"')
_HARMLESS = ("/dev/null", "/dev/shm/", "/proc/self/", "/proc/thread-self/", "/sys/", "/dev/nvidia")


class Tracer:
    """strace around commands. under: what to put before one. Skips where there is no strace."""

    def __init__(self, folder: Path) -> None:
        tried = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"]
        if shutil.which("strace") is None:
            pytest.skip("there is no strace")
        if subprocess.run(tried, capture_output=True, timeout=30, check=False).returncode:
            pytest.skip("strace does not work here")
        self._log = folder / "strace.log"
        self.under = (
            *("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-s", "300", "-o", str(self._log)),
            *("-e", f"trace={','.join(_CALLS)}"),
        )

    def deeds(self, *allowed: Path) -> list[str]:
        """Programs that were started, connections, and what was opened to be written, made, moved
        or deleted outside the allowed folders; the first program is the command itself."""
        found = [line for line in self._lines() if self._is_deed(line, allowed)]
        assert found, "nothing was traced"
        assert "execve(" in found[0]
        return found[1:]

    def opened(self, path: Path) -> list[str]:
        """The calls that name a path."""
        return [line for line in self._lines() if f'"{path}"' in line or f'"{path.name}"' in line]

    def _lines(self) -> Iterator[str]:
        for line in self._log.read_text(errors="replace").splitlines():
            call = line.partition(" ")[2].lstrip()
            # A call that was interrupted by another thread's has its arguments in its first line.
            if call and not call.startswith(("<...", "+++", "---")):
                yield call

    def _is_deed(self, call: str, allowed: tuple[Path, ...]) -> bool:
        name = call.partition("(")[0]
        if "ENOENT" in call and name in ("execve", "unlink", "unlinkat", "connect"):
            return False
        if name in ("open", "openat", "openat2") and not _WRITING.search(call):
            return False
        paths = _PATHS.findall(call)
        if name.startswith("exec") or not paths:
            return True
        folders = tuple(f"{folder}" for folder in allowed)
        return not all(path.startswith((*_HARMLESS, *folders)) for path in paths)
