"""The picture that a lane puts behind its cut-outs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from retouchd.errors import BackgroundMissing, RetouchdError
from retouchd.images import decode


def read_background(path: str | None, max_pixels: int) -> NDArray[Any] | None:
    """The picture [h, w, C], None if no path is given; raises BackgroundMissing."""
    if path is None:
        return None
    try:
        with Path(path).open("rb") as file:
            return decode(file, path, max_pixels).pixels
    except OSError as error:
        raise BackgroundMissing(path=path, cause=error.strerror or str(error)) from None
    except RetouchdError as error:
        raise BackgroundMissing(path=path, cause=error.message) from None
