"""The real command in real folders: drop, start, signal, look."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.fixtures import (
    children,
    eventually_fixture,
    inject,
    make_lanes,
    make_spool,
    mount,
    notified,
    pictures,
    quietly,
    spool,
    start,
    start_all,
    undisturbed,
)

__all__ = [
    "children",
    "eventually_fixture",
    "inject",
    "make_lanes",
    "make_spool",
    "mount",
    "notified",
    "pictures",
    "spool",
    "start",
    "start_all",
    "undisturbed",
]

# Only to end what hangs: how fast things are is no claim of these tests, and the machine may be
# busy with other things.
E2E_TIMEOUT = 600
SOAK_TIMEOUT = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                soak = item.get_closest_marker("soak") is not None
                item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT if soak else E2E_TIMEOUT))


@pytest.fixture
def frozen_disk(tmp_path: Path) -> Iterator[Any]:
    """A file system that can be made to hang, so that even SIGKILL can't end who waits for it.

    ``frozen_disk(folder)`` puts it on a folder; its ``freeze()`` and ``thaw()`` do what they say.
    """
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disks: list[FrozenDisk] = []

    def on(folder: Path) -> FrozenDisk:
        disks.append(FrozenDisk(folder, tmp_path / f"disk{len(disks)}.img"))
        return disks[-1]

    yield on
    for disk in disks:
        disk.thaw()
        quietly("umount", "-l", str(disk.folder))


class FrozenDisk:
    """An ext4 in a file; freezing it blocks every writer in the kernel."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self.image = folder, image
        folder.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(32 << 20)
        self._run("mkfs.ext4", "-q", "-O", "^has_journal", str(image))
        self.mount()
        (folder / "lost+found").rmdir()

    def _run(self, *command: str) -> None:
        if shutil.which(command[0]) is None:
            pytest.skip(f"there is no {command[0]}")
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        if done.returncode:
            pytest.skip(f"{command[0]} does not work here: {done.stderr.decode()}")

    def mount(self) -> None:
        self._run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Wait until no hand looks into it."""
        deadline = time.monotonic() + 20
        while subprocess.run(["umount", str(self.folder)], timeout=30, check=False).returncode:
            assert time.monotonic() < deadline, f"{self.folder} stays busy"
            time.sleep(0.05)

    def freeze(self) -> None:
        subprocess.run(["fsfreeze", "-f", str(self.folder)], timeout=30, check=True)

    def thaw(self) -> None:
        quietly("fsfreeze", "-u", str(self.folder))


@pytest.fixture(scope="session")
def days_later() -> Callable[[int], dict[str, str]]:
    """``days_later(400)`` → the environment in which a command takes today for another day.

    By the library itself: the command `faketime` stays the parent of what it starts, so that a
    signal for the service would end the command and leave the service behind.
    """
    if shutil.which("faketime") is None:
        pytest.skip("there is no faketime")
    shown = subprocess.run(
        ["faketime", "-f", "+1d", "env"], capture_output=True, text=True, timeout=30, check=False
    )
    (library,) = [line for line in shown.stdout.splitlines() if line.startswith("LD_PRELOAD=")]

    def environment(days: int) -> dict[str, str]:
        return {
            "LD_PRELOAD": library.partition("=")[2],
            "FAKETIME": f"+{days}d",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    return environment


os.environ.setdefault("PYTHONPATH", str(Path(__file__).parents[2] / "daemon"))
