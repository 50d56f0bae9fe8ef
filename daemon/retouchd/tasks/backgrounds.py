"""The picture that a lane puts behind its cut-outs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

from numpy.typing import NDArray

from retouchd.errors import BackgroundMissing, RetouchdError
from retouchd.images import check_complete, decode, read_header
from retouchd.profiles import picture_in


def check_background(path: str | None) -> str | None:
    """The sha256 of the picture's file, None if no path is given; raises BackgroundMissing.

    Asked before a photo is worked on, so that none is worked on in vain.
    """
    if path is None:
        return None
    with _opened(path) as file:
        check_complete(file, os.fstat(file.fileno()).st_size, path)
        file.seek(0)
        read_header(file, path)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_background(path: str | None, max_pixels: int, icc: bytes | None) -> NDArray[Any] | None:
    """The picture [h, w, C] as it looks in a photo's profile, None if no path is given; raises
    BackgroundMissing."""
    if path is None:
        return None
    with _opened(path) as file:
        picture = decode(file, path, max_pixels)
    return picture_in(picture.pixels, picture.metadata.icc, icc)


@contextmanager
def _opened(path: str) -> Iterator[BufferedReader]:
    """What is wrong with it is for whoever looks after the lane to mend, not for the photo."""
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise BackgroundMissing(path=path, cause=error.strerror or str(error)) from None
    except RetouchdError as error:
        raise BackgroundMissing(path=path, cause=error.message) from None
