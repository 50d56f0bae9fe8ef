"""What a picture says about itself before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """The facts in a picture's header.

    format: one of ``FORMATS``.
    width, height: in pixels as stored, before the orientation is applied.
    mode: ``gray``, ``rgb`` or ``palette``; transparency is told by has_alpha.
    bit_depth: of a sample as decoded: 8 or 16; for AVIF what is stored: 8, 10 or 12.
    frames: full pictures in the file; always 1 for a header that was accepted.
    has_alpha: whether decoding yields an alpha channel.
    orientation: EXIF's 1 to 8 (for AVIF: what its irot and imir mean); 1 is upright.
    """

    format: str
    width: int
    height: int
    mode: str
    bit_depth: int
    frames: int
    has_alpha: bool
    orientation: int

    @property
    def channels(self) -> int:
        """Channels of the decoded picture: 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA.

        A BMP whose palette holds only grays has 3 here, and 1 when it is decoded.
        """
        return (1 if self.mode == "gray" else 3) + int(self.has_alpha)

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) once the orientation is applied."""
        if self.orientation >= 5:
            return self.height, self.width
        return self.width, self.height
