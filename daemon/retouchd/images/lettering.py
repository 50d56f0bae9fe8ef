"""Writing into a picture: captions, in whatever script a file's name is."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from retouchd.errors import printable

Colour = tuple[int, int, int]

_FONTS: Final = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf")
"""Fonts that know more than ASCII, as Linux systems have them; Pillow's own knows little else."""
_NOWHERE: Final = "\ufffe"  # never a character, so it shows what a font draws for what it lacks
_GAP: Final = "…"


@dataclass(frozen=True)
class Line:
    """One line of text, from its upper left corner on.

    size: height of the letters in pixels. room: width in pixels; what is longer loses its middle.
    """

    text: str
    left: int
    top: int
    room: int
    size: int
    colour: Colour


def lettered(picture: NDArray[np.uint8], lines: Sequence[Line]) -> NDArray[np.uint8]:
    """A copy of a picture [H, W, 3] RGB with lines written into it.

    Any string can be written. A letter that the font lacks loses its accent, or is an empty box.
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    fonts = {size: _font(size) for size in {line.size for line in lines}}
    for line in lines:
        font = fonts[line.size]
        text = _shortened(_spelled(printable(line.text), font), font, line.room)
        draw.text((line.left, line.top), text, fill=line.colour, font=font)
    return np.asarray(image)


def _font(size: int) -> ImageFont.FreeTypeFont:
    # Basic layout takes any string; the other one may stumble over marks without their letters.
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size, layout_engine=ImageFont.Layout.BASIC)
        except OSError:
            continue
    own = ImageFont.load_default(size)
    if not isinstance(own, ImageFont.FreeTypeFont):
        raise OSError("Pillow was built without FreeType")
    return own


def _spelled(text: str, font: ImageFont.FreeTypeFont) -> str:
    """The text in letters that the font has, as far as that goes."""
    lacking = bytes(font.getmask(_NOWHERE))
    return "".join(
        _plain(letter) if bytes(font.getmask(letter)) == lacking else letter for letter in text
    )


def _plain(letter: str) -> str:
    """``é`` without its accent; anything else as it is."""
    bare = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return bare or letter


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """The text without so much of its middle that the rest fits: both ends of a name tell most."""
    if font.getlength(text) <= room:
        return text
    few, many = 0, len(text)
    while many - few > 1:
        kept = (few + many) // 2
        if font.getlength(_cut(text, kept)) <= room:
            few = kept
        else:
            many = kept
    return _cut(text, few)


def _cut(text: str, kept: int) -> str:
    return text[: kept - kept // 2] + _GAP + text[len(text) - kept // 2 :]
