"""Pure: a contact sheet: many cut-outs on one page, each before what shows its faults.

White shows dark fringes, black shows light ones, magenta shows holes and what is half transparent;
the alpha by itself shows haze.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from retouchd.canvas import Canvas, placed
from retouchd.images import Line, lettered
from retouchd.thumbnail import Thumbnail, thumbnail

Page = NDArray[np.uint8]  # [H, W, 3], RGB

TILE = 192
"""Pixels of a tile's side; a cut-out is not shown larger than that."""
PER_PAGE = 24

_GROUNDS = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 1.0))
_COLUMNS = 3
_TILES = len(_GROUNDS) + 1
_GAP = 6  # between tiles
_MARGIN = 24  # between cut-outs
_HEAD = 56
_LEAST = 96  # a row with nothing but thin pictures, or none, still reads as a row
_LARGE, _SMALL = 22, 15
_BELOW = _GAP + 2 * (_SMALL + 5) + _MARGIN  # captions, and what parts rows
_GROUP = _TILES * TILE + (_TILES - 1) * _GAP
_PAPER, _INK, _WARNING = (222, 222, 222), (32, 32, 32), (176, 32, 0)


@dataclass(frozen=True, eq=False)
class Cutout:
    """One cut-out, as it is shown.

    facts: a line below its name. picture: [h, w, 3 or 4] uint8 RGB with straight alpha; None if
    there is nothing to show. Without alpha it is shown once, as it is. odd: a person should look.
    """

    name: str
    facts: str
    picture: Thumbnail | None
    odd: bool = False


def contact_sheet(title: str, cutouts: Sequence[Cutout]) -> Page:
    """One page with up to ``PER_PAGE`` cut-outs, from left to right and downwards."""
    cutouts = [_fitted(cutout) for cutout in cutouts]
    columns = max(1, min(_COLUMNS, -(-len(cutouts) * _COLUMNS // PER_PAGE)))
    rows = [cutouts[start : start + columns] for start in range(0, len(cutouts), columns)]
    tops = list(accumulate((_tallest(row) + _BELOW for row in rows), initial=_HEAD))
    page = np.full((tops[-1], columns * (_GROUP + _MARGIN) + _MARGIN, 3), _PAPER, np.uint8)
    lines = [Line(title, _MARGIN, (_HEAD - _LARGE) // 2, page.shape[1] - 2 * _MARGIN, _LARGE, _INK)]
    for top, row in zip(tops, rows, strict=False):
        bottom = top + _tallest(row)
        for column, cutout in enumerate(row):
            left = _MARGIN + column * (_GROUP + _MARGIN)
            if cutout.odd:
                page[top:bottom, left - _MARGIN // 2 : left - _GAP] = _WARNING
            if cutout.picture is not None:
                _lay(page, _tiles(cutout.picture), left, bottom)
            lines += _captions(cutout, left, bottom + _GAP)
    return lettered(page, lines)


def _tallest(row: Sequence[Cutout]) -> int:
    return max(_LEAST, *(len(c.picture) if c.picture is not None else 0 for c in row))


def _fitted(cutout: Cutout) -> Cutout:
    if cutout.picture is None or max(cutout.picture.shape[:2]) <= TILE:
        return cutout
    return replace(cutout, picture=thumbnail(cutout.picture, TILE))


def _lay(page: Page, tiles: Iterable[Page], left: int, bottom: int) -> None:
    """Put tiles side by side; all stand on one line, right above their caption."""
    for number, tile in enumerate(tiles):
        height, width = tile.shape[:2]
        start = left + number * (TILE + _GAP) + (TILE - width) // 2
        page[bottom - height : bottom, start : start + width] = tile


def _tiles(picture: Thumbnail) -> Iterator[Page]:
    if picture.shape[2] == 3:
        yield picture
        return
    for colour in _GROUNDS:
        yield placed(picture, Canvas(background=colour)).astype(np.uint8, copy=False)
    yield np.repeat(picture[..., 3:], 3, axis=2)


def _captions(cutout: Cutout, left: int, top: int) -> list[Line]:
    ink = _WARNING if cutout.odd else _INK
    return [
        Line(cutout.name, left, top, _GROUP, _SMALL, _INK),
        Line(cutout.facts, left, top + _SMALL + 5, _GROUP, _SMALL, ink),
    ]
