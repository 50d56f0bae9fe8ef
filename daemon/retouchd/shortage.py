"""How a painter says that memory was too small for what it was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from retouchd.errors import OutOfMemory
from retouchd.samples import Region


@contextmanager
def shortage_told(
    regions: Sequence[Region], device: object, is_shortage: Callable[[Exception], bool]
) -> Iterator[None]:
    """Raise OutOfMemory, with sizes and device, in place of the library's own error."""
    try:
        yield
    except Exception as error:
        if not is_shortage(error):
            raise
        height, width = regions[0][1].shape
        what = f"{len(regions)} × {width}×{height} pixels on {device}"
        raise OutOfMemory(what=what) from None
