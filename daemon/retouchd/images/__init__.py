"""Pictures: headers and completeness without decoding, decoding, masks, encoding with metadata.

Everything here runs inside disposable I/O worker processes, without torch. The containers
(``jpeg``, ``png``, ``webp``, ``tiff``, ``bmp``, ``avif``) are read by our own bounded readers;
Pillow and OpenCV decode and encode the pixels, each where it loses nothing.
"""

from retouchd.images.decode import decode, decode_parts
from retouchd.images.encode import Encoded, encode, is_lossless
from retouchd.images.formats import FORMATS, SUFFIXES, extension
from retouchd.images.header import Header
from retouchd.images.lettering import Line, lettered
from retouchd.images.mask import MaskImage, decode_mask
from retouchd.images.metadata import JpegTraits, Metadata
from retouchd.images.photo import Photo, Pixels
from retouchd.images.png_check import holds
from retouchd.images.reading import check_complete, read_header
from retouchd.images.reduced import SHARE, decode_reduced

__all__ = [
    "FORMATS",
    "SHARE",
    "SUFFIXES",
    "Encoded",
    "Header",
    "JpegTraits",
    "Line",
    "MaskImage",
    "Metadata",
    "Photo",
    "Pixels",
    "check_complete",
    "decode",
    "decode_mask",
    "decode_parts",
    "decode_reduced",
    "encode",
    "extension",
    "holds",
    "is_lossless",
    "lettered",
    "read_header",
]
