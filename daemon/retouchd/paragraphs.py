"""Pure: the paragraphs of a text that lies beside a file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

_WIDTH = 78
_HELD = "\0"  # stands for a blank that no line may end at; no file's name has one


def wrapped(paragraphs: Iterable[str], names: Iterable[str]) -> str:
    """The paragraphs as lines, none of which ends within one of the names, so that these can be
    copied.

    Lines end in CR LF, because Notepad is where many of these are read.
    """
    held = sorted({name for name in names if " " in name}, key=len, reverse=True)
    lines = []
    for paragraph in paragraphs:
        kept = paragraph
        for name in held:
            kept = kept.replace(name, name.replace(" ", _HELD))
        filled = textwrap.fill(kept, _WIDTH, break_long_words=False, break_on_hyphens=False)
        lines.append(filled.replace(_HELD, " "))
    return "\n\n".join(lines).replace("\n", "\r\n") + "\r\n"
