"""Deflate (RFC 1951) for pixels: fast, and as small as that allows."""

from __future__ import annotations

import zlib
from typing import Final, Protocol

_LEVEL: Final = 1
"""On photos levels up to 5 save a few per cent for twice the time, and those above next to nothing
for many times more; what counts is the prediction before it."""
_MEMORY: Final = 9


class Deflater(Protocol):
    """What ``zlib.compressobj`` gives."""

    def compress(self, data: bytes, /) -> bytes:
        """Some more of the stream."""

    def flush(self) -> bytes:
        """The rest of it."""


def strategy_for(sample: bytes) -> int:
    """zlib's strategy that makes a sample of the predicted pixels smaller.

    In a noisy photo matches of more than one byte are chance, and looking for runs only is faster
    and smaller; in drawings, and in photos that were smoothed, matches are most of the gain.
    """
    runs = len(_once(sample, zlib.Z_RLE))
    fewer = runs < len(_once(sample, zlib.Z_DEFAULT_STRATEGY))
    return zlib.Z_RLE if fewer else zlib.Z_DEFAULT_STRATEGY


def deflater(strategy: int) -> Deflater:
    """A new zlib stream (RFC 1950)."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY, strategy)


def _once(data: bytes, strategy: int) -> bytes:
    stream = deflater(strategy)
    return stream.compress(data) + stream.flush()
