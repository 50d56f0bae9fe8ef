"""Temporary outputs as hands write them, and read them again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from retouchd import files
from retouchd.roots import RootRef, open_root

_FAMILY = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}


def write(ref: RootRef, temporary: str, data: bytes) -> str:
    """Write a durable temporary file; gives its sha256."""
    with open_root(ref) as root:
        return files.write_temporary(root, temporary, data)


@contextmanager
def written(ref: RootRef, temporary: str) -> Iterator[BinaryIO]:
    """A temporary output as it lies on the disk; it is removed if it turns out to be wrong."""
    with open_root(ref) as root:
        try:
            with files.open_drop(root, temporary) as (fd, _), os.fdopen(os.dup(fd), "rb") as file:
                yield file
        except BaseException:
            files.delete(root, temporary)
            raise


def ending(name: str, extension: str) -> str:
    """A photo that stays what it is keeps its own spelling, such as ``.JPG`` or ``.tif``."""
    own = os.path.splitext(name)[1]
    return own if _FAMILY.get(own.lower(), own.lower()) == extension else extension
