"""System calls of the service and its hands that fail, kill or lie, as tests/faults/shim.c does it.

Unlike strace it counts over all processes, knows folders and not only single files, costs next to
nothing, and lets a fault come and go while the service runs. What never reaches libc's wrappers
(the kernel's own faults) is strace's part.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CALLS = (
    *("open", "read", "write", "pwrite", "fsync", "fsync_folder", "fdatasync"),
    *("rename", "link", "unlink", "mkdir", "stat", "list", "truncate"),
)
KILL, TORN, PRETEND, SHORT, COUNT, SWAP = -1, -2, -3, -4, -5, -6
"""Kill the service before the call, or after half a write; say yes without doing it; do half of a
read or write; only count; let two names change places right before the call."""
FOR_EVER = (1 << 64) - 1
_CRASH = -100

_RULE = struct.Struct("=QQQQQq512s512s512s")
_SERVICE = struct.Struct("=q")
_SOURCE = Path(__file__).parents[1] / "faults" / "shim.c"


def dies_of(number: int) -> int:
    """The action by which whoever makes the call dies of a signal, and nobody else."""
    return _CRASH - number


@dataclass(frozen=True)
class Fault:
    """What is to go wrong. calls: names of CALLS. action: an errno, or one of the above. under: a
    text in the paths concerned. first, last: which of these calls, counted from 1. other: with what
    ``under`` changes places, for SWAP."""

    calls: tuple[str, ...]
    action: int
    under: str
    first: int = 1
    last: int = FOR_EVER
    other: str = ""

    def packed(self) -> bytes:
        mask = sum(1 << CALLS.index(call) for call in self.calls)
        under = self.under.encode()
        other = self.other.encode()
        return _RULE.pack(mask, self.first, self.last, 0, 0, self.action, under, b"", other)


@dataclass(frozen=True)
class Felt:
    """How many calls were counted, how many were struck, and what the first of these was."""

    counted: int
    hits: int
    what: str


class Shim:
    """One control file; several services may share it, one after the other."""

    def __init__(self, library: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "faults"
        path.write_bytes(bytes(_SERVICE.size + 2 * _RULE.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.environment = {"LD_PRELOAD": str(library), "RETOUCHD_TEST_FAULTS": str(path)}

    def serve(self, pid: int) -> None:
        """Whom a kill is for, whichever of its hands makes the call."""
        _SERVICE.pack_into(self._map, 0, pid)

    def arm(self, *faults: Fault) -> None:
        """Have these faults, at most two, from now on."""
        self.disarm()
        for number, fault in enumerate(faults):
            self._put(number, fault.packed())

    def disarm(self) -> None:
        """Let everything work again."""
        for number in range(2):
            self._put(number, bytes(_RULE.size))

    def _put(self, number: int, data: bytes) -> None:
        start = _SERVICE.size + number * _RULE.size
        self._map[start : start + _RULE.size] = data

    @contextmanager
    def fault(self, *faults: Fault) -> Iterator[None]:
        self.arm(*faults)
        try:
            yield
        finally:
            self.disarm()

    def felt(self, number: int = 0) -> Felt:
        values = _RULE.unpack_from(self._map, _SERVICE.size + number * _RULE.size)
        return Felt(values[3], values[4], values[7].split(b"\0")[0].decode(errors="replace"))

    def close(self) -> None:
        self._map.close()


def build(folder: Path) -> Path:
    """Compile the shim, or skip the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the fault shim with")
    library = folder / "shim.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library
