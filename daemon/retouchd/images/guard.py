"""The border around foreign decoders: whatever they raise comes out as one of our errors."""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
from PIL import Image

from retouchd.errors import NotAnImage, OutOfMemory, RetouchdError, Truncated, from_os_error

_CUT_OFF = ("truncated", "unexpected end", "premature", "not enough image data")


@contextmanager
def no_pixel_limit() -> Iterator[None]:
    """Lift Pillow's own pixel limit, which its TIFF reader asks again while loading.

    ``max_pixels`` was checked before. The limit is a global of Pillow's; a worker process decodes
    one file at a time, and it is put back.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def with_room(needed: int, name: str) -> Iterator[None]:
    """Run a codec that may need ``needed`` bytes; where it fails without having them, that is why.

    Many codecs call what they could not allocate damaged data, and nobody should be told so about
    a photo that is well. Raises OutOfMemory then.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if _has_room(needed):
            raise
        raise OutOfMemory(what=f"the pixels of {name}") from error


def _has_room(needed: int) -> bool:
    """Whether the process may still take so much address space (nothing is really used)."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        mmap.mmap(-1, max(needed, 1), flags=flags, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        return False
    return True


@contextmanager
def codec(name: str) -> Iterator[None]:
    """Run a codec on the file ``name``.

    Raises OutOfMemory, Truncated or NotAnImage for a codec's own exceptions, a TransientError
    for an ``OSError`` of the file system; our errors pass unchanged. Codecs' warnings (odd EXIF,
    strange MPO) are dropped: what matters in them is checked here in other ways.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except RetouchdError:
        raise
    except MemoryError as error:
        raise OutOfMemory(what=f"the pixels of {name}") from error
    except Exception as error:
        raise _translate(error, name) from error


def _translate(error: Exception, name: str) -> RetouchdError:
    if isinstance(error, OSError) and error.errno is not None:
        return from_os_error(error, name)
    text = _plain(error)
    if isinstance(error, cv2.error) and "insufficient memory" in text.lower():
        return OutOfMemory(what=f"the pixels of {name}")
    if any(sign in text.lower() for sign in _CUT_OFF):
        return Truncated(path=name, cause=text)
    return NotAnImage(path=name, cause=f"its data is damaged ({text})")


def _plain(error: Exception) -> str:
    if isinstance(error, cv2.error):
        return str(getattr(error, "err", "") or error)
    return str(error) or type(error).__name__
