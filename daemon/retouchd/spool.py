"""Files in memory (memfd_create(2)): for libraries that read files, without a disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import BinaryIO


def memory_file() -> BinaryIO:
    """A new file in memory; the kernel frees it with the last who has it open."""
    return os.fdopen(os.memfd_create("retouchd", os.MFD_CLOEXEC), "w+b")


def spooled(parts: Iterable[bytes]) -> tuple[BinaryIO, str]:
    """The parts, one behind the other, as a file in memory, and their sha256."""
    sha256, file = hashlib.sha256(), memory_file()
    try:
        for part in parts:
            sha256.update(part)
            file.write(part)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file, sha256.hexdigest()
