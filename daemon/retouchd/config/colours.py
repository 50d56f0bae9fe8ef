"""Colours as people write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_NAMED = {
    "white": "#ffffff",
    "black": "#000000",
    "grey": "#808080",
    "gray": "#808080",
    "lightgrey": "#d3d3d3",
    "lightgray": "#d3d3d3",
    "red": "#ff0000",
    "green": "#008000",
    "blue": "#0000ff",
    "yellow": "#ffff00",
    "magenta": "#ff00ff",
    "cyan": "#00ffff",
}


def parse_colour(value: Any) -> str:
    """``"#rrggbb"`` from that, ``"#rgb"``, or a common name of CSS such as ``"white"``."""
    text = _NAMED.get(str(value).strip().lower(), str(value).strip().lower())
    if re.fullmatch(r"#[0-9a-f]{3}", text):
        text = "#" + "".join(2 * digit for digit in text[1:])
    if not re.fullmatch(r"#[0-9a-f]{6}", text):
        raise ValueError(
            f"{str(value)!r} is not a colour; write it like '#f0f0f0' (in quotes), or white, "
            "black, grey, red, green, blue"
        )
    return text


def unit_colour(text: str) -> tuple[float, float, float]:
    """RGB in [0, 1] from ``"#rrggbb"``."""
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


Colour = Annotated[str, BeforeValidator(parse_colour)]
