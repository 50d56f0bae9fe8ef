"""The picture that a lane puts behind its cut-outs."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any

from numpy.typing import NDArray

from retouchd.errors import BackgroundMissing, RetouchdError
from retouchd.images import check_complete, decode, read_header
from retouchd.profiles import picture_in

_DROPPED = re.compile(r",? (and|then) drop (that|it)( again)?\.$")
"""What remedies for photos end in."""


def look_at_background(path: str) -> None:
    """Raise BackgroundMissing unless there is a picture, as far as its structure tells."""
    with _opened(path) as file:
        _check(file, path)


def check_background(path: str | None) -> str | None:
    """The sha256 of the picture's file, None if no path is given; raises BackgroundMissing.

    Asked before a photo is worked on, so that none is worked on in vain.
    """
    if path is None:
        return None
    with _opened(path) as file:
        _check(file, path)
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


def _check(file: BufferedReader, path: str) -> None:
    check_complete(file, os.fstat(file.fileno()).st_size, path)
    file.seek(0)
    read_header(file, path)


@contextmanager
def _opened(path: str) -> Iterator[BufferedReader]:
    """What is wrong with it is for whoever looks after the lane to mend, not for the photo."""
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        fix = "Put a picture there that the service user may read."
        raise BackgroundMissing(path=path, cause=error.strerror or str(error), fix=fix) from None
    except RetouchdError as error:
        cause, fix = error.message.removesuffix("."), _DROPPED.sub(".", error.advice)
        raise BackgroundMissing(path=path, cause=cause, fix=fix) from None
