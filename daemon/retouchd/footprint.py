"""Pure: what one photo takes in memory at its peak, as measured (see ``benchmarks/memory.py``)."""

from __future__ import annotations

import os

_USUAL = 3.0
"""The decoded photo; a second one in the encoder's order, or from checking the output; the file."""
_DEAR = {".webp": 11.0, ".avif": 9.0}
"""Modern codecs hold every plane several times, in 16 and 32 bits; WebP most when lossless."""
_FORMATS = {"webp": ".webp", "avif": ".avif"}


_MATTE = 7.0
"""From a rough mask, which is sought at full size in floats; from a network half of that."""


def footprint(decoded: int, name: str, format: str, task: str = "inpaint", canvas: int = 0) -> int:
    """Bytes, of the service and its hands together.

    decoded: bytes of the decoded photo and its mask. name: the photo's, whose ending tells its
    format well enough. format: the output's, or ``same``. canvas: bytes of the output's pixels,
    where they are not as many as the photo's.
    """
    ending = os.path.splitext(name)[1].lower()
    endings = {ending, _FORMATS.get(format, ending)}
    usual = _MATTE if task == "matte" else _USUAL
    return int(max(decoded, canvas) * max(max(_DEAR.get(one, usual), usual) for one in endings))
