"""Originals as hands read them: once, and only what was hashed is decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from retouchd import files
from retouchd.images import Photo, decode
from retouchd.roots import open_root
from retouchd.shared import SharedArray
from retouchd.spool import spooled
from retouchd.tasks.room import Room
from retouchd.tasks.values import Original


def read_original(original: Original, max_bytes: int) -> tuple[BinaryIO, str]:
    """A copy of the file in memory, and its sha256."""
    with open_root(original.root) as root:
        parts = files.drop_parts(root, original.path, max_bytes, original.stat)
        # A share is read once, and what decodes sees only what was hashed.
        return spooled(parts)


def read_photo(
    image: Original, max_pixels: int, max_bytes: int, shared: list[SharedArray]
) -> tuple[Photo, str]:
    """The photo, decoded into the first of the shared arrays, and its file's sha256."""
    room = Room(shared)
    file, sha256 = read_original(image, max_bytes)
    with file:
        photo = decode(file, image.path, max_pixels, room)
    return replace(photo, pixels=room.hold(photo.pixels)), sha256
