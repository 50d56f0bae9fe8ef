"""A file that counts what is read of it."""

from __future__ import annotations

import io


class Counting(io.BytesIO):
    """taken: bytes that were read so far."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found
