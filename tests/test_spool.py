"""Files in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest

from retouchd.spool import memory_file, spooled


def test_what_is_spooled_can_be_read_by_whoever_wants_a_path() -> None:
    file, sha256 = spooled([b"one ", b"", b"two"])
    with file, open(f"/proc/self/fd/{file.fileno()}", "rb") as other:
        assert other.read() == b"one two"
        assert sha256 == hashlib.sha256(b"one two").hexdigest()


def test_a_source_that_fails_leaves_nothing_open() -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the share is gone")

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="gone"):
        spooled(parts())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_memory_file_has_no_name_on_any_disk() -> None:
    with memory_file() as file:
        assert os.readlink(f"/proc/self/fd/{file.fileno()}").startswith("/memfd:")
