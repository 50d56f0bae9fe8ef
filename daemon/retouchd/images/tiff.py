"""TIFF files as containers (TIFF 6.0, TechNote 2, BigTIFF): header, completeness, metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from retouchd.images import exif
from retouchd.images.formats import camera_raw
from retouchd.images.header import Header
from retouchd.images.ifd import Directory, read_pages
from retouchd.images.metadata import Metadata
from retouchd.images.source import Source

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIPS, SAMPLES, ROWS_PER_STRIP, STRIP_SIZES, PLANAR = 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_SIZES = 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, FILL_ORDER = 338, 339, 266
XMP, IPTC, ICC, LAYERS = 700, 33723, 34675, 37724
_NEW_KIND, _OLD_KIND, _SUB_DIRECTORIES, _DNG = 254, 255, 330, 50706
_REDUCED, _MASK = 1, 4

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
_MODES: Final = {0: "gray", 1: "gray", 2: "rgb", 3: "palette", 6: "rgb"}
_REFUSED: Final = {5: "CMYK", 8: "Lab", 9: "Lab", 10: "Lab", 4: "transparency-mask"}
_RAW: Final = frozenset({32803, 34892})
_READABLE: Final = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000, 50001})
_BEYOND: Final = 4096
"""How much wider or higher than the picture a tile may be, in pixels."""
_SAVE_ANEW: Final = "Save it anew as RGB or grayscale TIFF with 8 or 16 bits, and drop that."


@dataclass(frozen=True)
class Picture:
    """The one full picture in a file: its directory and its place among the pages."""

    page: Directory
    number: int


def picture(source: Source) -> Picture:
    """The full picture; raises Unsupported if there are several, or if it is a raw file.

    Pages that are reduced versions or transparency masks of another (NewSubfileType) don't count.
    """
    pages = list(read_pages(source))
    full = [i for i, page in enumerate(pages) if not _is_secondary(page)]
    if any(_DNG in page.entries for page in pages):
        raise camera_raw(source)
    if not full and (_SUB_DIRECTORIES in pages[0].entries or len(pages) > 1):
        raise camera_raw(source)
    if len(full) > 1:
        raise source.unsupported(
            f"it is a TIFF of {len(full)} pages", "Save each page as a file of its own."
        )
    number = full[0] if full else 0
    return Picture(pages[number], number)


def _is_secondary(page: Directory) -> bool:
    kind = page.integer(_NEW_KIND, 0)
    return bool(kind & (_REDUCED | _MASK)) or page.integer(_OLD_KIND, 1) == 2


def header(source: Source) -> Header:
    """The header; raises NotAnImage, Truncated or Unsupported."""
    page = picture(source).page
    depth = _depth(source, page)
    mode = _mode(source, page)
    value = page.integer(exif.ORIENTATION, 1)
    width, height = page.integer(WIDTH, 0), page.integer(HEIGHT, 0)
    if width < 1 or height < 1:
        raise source.broken("its width or height is 0")
    if TILES in page.entries:
        _check_tile(source, page, width, height)
    return Header(
        format="tiff",
        width=width,
        height=height,
        mode=mode,
        bit_depth=16 if depth == 16 else 8,
        frames=1,
        has_alpha=alpha_kind(page) is not None,
        orientation=value if 1 <= value <= 8 else 1,
    )


def _check_tile(source: Source, page: Directory, width: int, height: int) -> None:
    """Whole tiles are decoded, however small the part that shows."""
    across, down = page.integer(TILE_WIDTH, 0), page.integer(TILE_HEIGHT, 0)
    if not 0 < across <= width + _BEYOND or not 0 < down <= height + _BEYOND:
        raise source.broken("its tiles have an impossible size")


def _depth(source: Source, page: Directory) -> int:
    depths = set(page.integers(BITS)) or {1}
    formats = set(page.integers(SAMPLE_FORMAT)) or {1}
    if not formats <= {1, 4}:
        raise source.unsupported("its samples are floating-point or signed numbers", _SAVE_ANEW)
    if len(depths) > 1 or not depths <= {1, 2, 4, 8, 16}:
        raise source.unsupported(f"its samples have {max(depths)} bits", _SAVE_ANEW)
    return depths.pop()


def _mode(source: Source, page: Directory) -> str:
    photometric = page.integer(PHOTOMETRIC, -1)
    if photometric in _RAW:
        raise camera_raw(source)
    if photometric in _REFUSED:
        raise source.unsupported(f"it is a {_REFUSED[photometric]} TIFF", _SAVE_ANEW)
    if photometric not in _MODES:
        raise source.broken("it doesn't say what its colours mean")
    packing = page.integer(COMPRESSION, 1)
    if packing not in _READABLE:
        raise source.unsupported(f"its compression (number {packing}) is rare", _SAVE_ANEW)
    mode = _MODES[photometric]
    samples, needed = page.integer(SAMPLES, 1), 3 if mode == "rgb" else 1
    if not needed <= samples <= 16:
        raise source.broken(f"it has {samples} samples per pixel")
    return mode


def colours(page: Directory) -> int:
    """Samples per pixel that are colour: 1 or 3."""
    return 3 if page.integer(PHOTOMETRIC, 1) in (RGB, 6) else 1


def alpha_kind(page: Directory) -> int | None:
    """What the first sample behind the colour is: 1 premultiplied alpha, 2 straight, or None.

    A fourth sample that nothing is said about is alpha (as in libtiff); one that is declared as
    unspecified (0) is not.
    """
    base = colours(page)
    if page.integer(SAMPLES, 1) <= base:
        return None
    kind = page.integer(EXTRA_SAMPLES, 2)
    return kind if kind in (1, 2) else None


def notes(page: Directory) -> tuple[str, ...]:
    """What of a TIFF isn't kept, in words."""
    lost = []
    kept = colours(page) + (alpha_kind(page) is not None)
    if page.integer(SAMPLES, 1) > kept:
        lost.append("the extra channels of the TIFF were not kept")
    if LAYERS in page.entries:
        lost.append("the Photoshop layers of the TIFF were not kept")
    return tuple(lost)


def segments(page: Directory) -> list[tuple[int, int]]:
    """(offset, size) of every strip or tile; raises NotAnImage if they don't add up."""
    offsets_tag, sizes_tag = (TILES, TILE_SIZES) if TILES in page.entries else (STRIPS, STRIP_SIZES)
    offsets, sizes = page.integers(offsets_tag), page.integers(sizes_tag)
    if not sizes and len(offsets) == 1 and page.integer(COMPRESSION, 1) == 1:
        sizes = (plain_size(page),)
    if not offsets or len(offsets) != len(sizes):
        raise page.source.broken("its list of strips is damaged")
    return list(zip(offsets, sizes, strict=True))


def plain_size(page: Directory) -> int:
    """Bytes of the uncompressed picture."""
    bits = page.integer(BITS, 1) * page.integer(SAMPLES, 1) * page.integer(WIDTH, 0)
    return (bits + 7) // 8 * page.integer(HEIGHT, 0)


def check(source: Source) -> None:
    """Raise Truncated unless every strip, tile and tag value lies within the file."""
    page = picture(source).page
    for entry in page.entries.values():
        source.expect(entry.offset + entry.size)
    for offset, size in segments(page):
        if not offset or not size:
            raise source.truncated("a part of its picture data is not written yet")
        source.expect(offset + size)


def metadata(source: Source) -> Metadata:
    """What the tags say; the XMP packet is as stored, the EXIF block made of tags."""
    page = picture(source).page
    return Metadata(
        format="tiff",
        bit_depth=16 if page.integer(BITS, 1) == 16 else 8,
        exif=exif.from_tiff(page),
        icc=page.raw(ICC) or None,
        xmp=page.raw(XMP) or None,
        iptc=page.raw(IPTC) or None,
        dpi=exif.dpi(page),
        tiff_compression=page.integer(COMPRESSION, 1),
    )
