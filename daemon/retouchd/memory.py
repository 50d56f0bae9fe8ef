"""Memory that was freed, and the system's part in it."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return to the system what was freed, where the C library can (glibc).

    Weights are many blocks of a few megabytes. glibc keeps such for later once it has seen them
    freed, and LaMa's in float32 are 195 MiB that would never be asked for again.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
