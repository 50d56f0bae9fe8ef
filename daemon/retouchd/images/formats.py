"""Which picture formats there are, and how their content is recognised."""

from __future__ import annotations

from typing import Final

from retouchd.images.source import Source

FORMATS: Final = ("jpeg", "png", "webp", "tiff", "bmp", "avif")

SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"}
)
"""File name endings (lower case, with dot) under which pictures are dropped."""

_EXTENSIONS: Final = {
    "jpeg": ".jpg",
    "png": ".png",
    "webp": ".webp",
    "tiff": ".tif",
    "bmp": ".bmp",
    "avif": ".avif",
}

_EXPORT: Final = "Export it as JPEG, PNG, WebP, TIFF, BMP or AVIF, and drop that."

_OURS: Final = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"BM", "bmp"),
)

_FOREIGN: Final = (
    (b"GIF8", "GIF"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\1\0", "Windows icon"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"<svg", "SVG"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"qoif", "QOI"),
)

_ARCHIVES: Final = (
    (b"PK\3\4", "zip"),
    (b"Rar!\x1a\7", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
)

_RAW: Final = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\0", b"FOVb", b"\0MRM")

_HEIF: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})


def extension(format: str) -> str:
    """The file name ending of a format, with its dot: ``"jpeg"`` → ``".jpg"``."""
    return _EXTENSIONS[format]


def recognise(source: Source) -> str:
    """The format of a file, by its first bytes and never by its name.

    Raises Truncated for an empty (or still unwritten) file, Unsupported for a known picture
    format that is not worked on, NotAnImage for anything else.
    """
    head = source.up_to(0, 64)
    if not head:
        raise source.truncated("it is empty")
    if len(head) >= 32 and not any(head):
        raise source.truncated("it starts with zeros, as if the copy were not finished")
    for magic, format in _OURS:
        if head.startswith(magic):
            _refuse_canon(source, head)
            return format
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _recognise_isobmff(source, head)
    raise _stranger(source, head)


def _refuse_canon(source: Source, head: bytes) -> None:
    if head[:4] == b"II*\0" and head[8:10] == b"CR":
        raise camera_raw(source)


def _recognise_isobmff(source: Source, head: bytes) -> str:
    length = int.from_bytes(head[:4], "big")
    brands = {head[i : i + 4] for i in range(8, min(length, len(head)), 4) if i != 12}
    if brands & {b"avif", b"avis"}:
        return "avif"
    if brands & _HEIF or brands & {b"mif1", b"msf1"}:
        raise source.unsupported("it is a HEIC picture", _EXPORT)
    if b"crx " in brands:
        raise camera_raw(source)
    raise source.broken("it is a film or another media file, not a picture")


def camera_raw(source: Source) -> Exception:
    """The error for a camera's raw file, which often looks like a TIFF."""
    return source.unsupported(
        "it is a camera's raw file", "Develop it first, and drop the result as TIFF or JPEG."
    )


def _stranger(source: Source, head: bytes) -> Exception:
    if head.startswith(_RAW):
        return camera_raw(source)
    for magic, title in _FOREIGN:
        if head.startswith(magic):
            return source.unsupported(f"it is a {title} file", _EXPORT)
    for magic, title in _ARCHIVES:
        if head.startswith(magic):
            fix = "Unpack it and drop the photos that are in it."
            return source.unsupported(f"it is a {title} archive", fix)
    return source.broken("its content is not that of any known picture format")
