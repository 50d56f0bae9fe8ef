"""Pure: colours of one ICC profile as another one's (ISO 15076-1), by Little CMS.

A number is a colour only together with its profile. What is laid behind a cut-out has to look the
same on every photo, so it is brought into the photo's own space: relative colorimetric, with black
point compensation. No profile means sRGB, as everywhere on the web; so do one of another kind than
RGB, whose numbers these are not, and one that can't be read.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Colour = tuple[float, float, float]  # RGB in [0, 1]

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_SPACE = slice(16, 20)  # of a profile's header


def colour_in(colour: Colour, target: bytes | None) -> Colour:
    """An sRGB colour in a photo's profile, to 8 bits; black and white are always themselves."""
    if target is None or set(colour) in ({0.0}, {1.0}):
        return colour
    samples = np.round(np.array(colour) * 255).astype(np.uint8)[None, None]
    red, green, blue = (float(value) / 255 for value in picture_in(samples, None, target)[0, 0])
    return red, green, blue


def picture_in(picture: NDArray[Any], source: bytes | None, target: bytes | None) -> NDArray[Any]:
    """A picture [H, W, C] with its own profile in another's; the very picture where they are one.

    Where it has to be converted it becomes [H, W, 3] uint8: grey is repeated, alpha dropped, and of
    16 bits the upper ones stay.
    """
    source, target = _rgb(source), _rgb(target)
    if source == target:
        return picture
    colours = picture[..., :1].repeat(3, axis=2) if picture.shape[2] < 3 else picture[..., :3]
    if colours.dtype == np.uint16:
        colours = ((colours.astype(np.uint32) + 128) // 257).astype(np.uint8)
    try:
        seen = ImageCms.profileToProfile(
            Image.fromarray(np.ascontiguousarray(colours)),
            _opened(source),
            _opened(target),
            renderingIntent=_INTENT,
            outputMode="RGB",
            flags=_FLAGS,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return picture if seen is None else np.asarray(seen)


def _rgb(icc: bytes | None) -> bytes | None:
    return icc if icc is not None and icc[_SPACE] == b"RGB " else None


def _opened(icc: bytes | None) -> ImageCms.ImageCmsProfile:
    if icc is None:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))
