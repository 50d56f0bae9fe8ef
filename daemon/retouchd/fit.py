"""What size a matting network wants its photos in; ``fitting`` does it.

Apart from that, because what only lists models must not wait for numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resize = Literal["pad", "fit", "squash"]


@dataclass(frozen=True)
class Fit:
    """What size a network wants its photos in.

    size: of the longer side; or short_side: of the shorter one, where size is None. In pixels.
    multiple_of: what both sides of the picture are multiples of.
    resize: "pad" makes it square with the photo in the middle; "fit" keeps the photo's shape,
        as nearly as the multiples allow; "squash" makes it square, whatever the photo's shape.
    """

    size: int | None = 512
    short_side: int | None = None
    multiple_of: int = 1
    resize: Resize = "pad"
