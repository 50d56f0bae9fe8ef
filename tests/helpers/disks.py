"""File systems in files, on loop devices, whose power can be cut."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

_GOING_DOWN = 0x8004587D
"""XFS_IOC_GOINGDOWN, which ext4 knows as EXT4_IOC_SHUTDOWN."""
FLUSH, NO_FLUSH = 1, 2
"""Whether what is in the journal's memory still gets to the disk before the end."""
_SIZES = {"ext4": 96 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}
_OPTIONS = {"ext4": ("-E", "lazy_itable_init=1")}


class Disk:
    """One file system of a kind (ext4, xfs, btrfs) in ``image``, mounted on ``folder``.

    Skips the test, with the reason, where that does not work.
    """

    def __init__(self, kind: str, folder: Path, image: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        self.kind, self.folder, self.image = kind, folder, image
        folder.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(_SIZES[kind])
        _run(f"mkfs.{kind}", "-q", *_OPTIONS.get(kind, ()), str(image))
        self.mount()

    def mount(self) -> None:
        """After a cut this replays the journal, as a machine does at its start."""
        _run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self, timeout: float = 20) -> None:
        """Wait until nobody uses it any more."""
        deadline = time.monotonic() + timeout
        while _quietly("umount", str(self.folder)):
            assert time.monotonic() < deadline, f"{self.folder} stays busy"
            time.sleep(0.05)
        # A copy of it in somebody else's mount namespace keeps it alive: mounted now, it would not
        # replay its journal, but be the one whose power was cut.
        while self._alive():
            assert time.monotonic() < deadline + 60, f"{self.image} is mounted elsewhere"
            time.sleep(0.05)

    def _alive(self) -> bool:
        """Whether a loop device still holds the image, which the last unmounting lets go."""
        for held in Path("/sys/block").glob("loop*/loop/backing_file"):
            with contextlib.suppress(OSError):
                if held.read_text().strip() == str(self.image):
                    return True
        return False

    def sync(self) -> None:
        """Have all that was written so far on the disk."""
        _run("sync", "-f", str(self.folder))

    def cut(self, how: int) -> None:
        """Cut the power: from now on nothing reaches the disk, and everybody gets EIO."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _GOING_DOWN, struct.pack("I", how))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Take it away, whatever state it is in."""
        with contextlib.suppress(AssertionError):
            self.unmount(5)
            self.image.unlink(missing_ok=True)
            return
        _quietly("umount", "-l", str(self.folder))


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.decode()}")


def _quietly(*command: str) -> int:
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode
