"""A dropped file as the container readers see it: bounded reads, and errors that name the file."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from io import BytesIO, UnsupportedOperation
from typing import Any, BinaryIO, TypeVar

from retouchd.errors import NotAnImage, Truncated, Unsupported, from_os_error
from retouchd.spool import memory_file

Kept = TypeVar("Kept")


class Source:
    """Random access to ``file``; every error carries ``name``.

    An ``OSError`` of the file system stays the environment's fault (a TransientError), because a
    share that fails in the middle of a header says nothing about the picture.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self._file = file
        self._kept: dict[str, Any] = {}
        try:
            self.size = file.seek(0, os.SEEK_END)
        except OSError as error:
            raise from_os_error(error, name) from error

    @classmethod
    def of(cls, data: bytes | BinaryIO, name: str) -> Source:
        """A source over bytes in memory, or over a file."""
        return cls(BytesIO(data) if isinstance(data, bytes) else data, name)

    def whole(self) -> bytes:
        """The whole content."""
        return self.up_to(0, self.size)

    @contextlib.contextmanager
    def named(self) -> Iterator[str]:
        """A path for libraries that open files themselves."""
        try:
            yield f"/proc/self/fd/{self._file.fileno()}"
        except UnsupportedOperation:
            with memory_file() as copy:
                copy.write(self.whole())
                copy.flush()
                yield f"/proc/self/fd/{copy.fileno()}"

    def opened(self) -> BinaryIO:
        """The content as a file with a position of its own."""
        try:
            return open(f"/proc/self/fd/{self._file.fileno()}", "rb")
        except UnsupportedOperation:
            return BytesIO(self.whole())

    def kept(self, key: str, read: Callable[[], Kept]) -> Kept:
        """What ``read`` gives, found out once: some files consist of thousands of parts."""
        if key not in self._kept:
            self._kept[key] = read()
        found: Kept = self._kept[key]
        return found

    def up_to(self, offset: int, count: int) -> bytes:
        """At most ``count`` bytes from ``offset``; fewer where the file ends."""
        try:
            self._file.seek(max(0, offset))
            return self._file.read(count)
        except OSError as error:
            raise from_os_error(error, self.name) from error

    def at(self, offset: int, count: int) -> bytes:
        """Exactly ``count`` bytes from ``offset``; raises Truncated where the file ends."""
        self.expect(offset + count)
        found = self.up_to(offset, count)
        if len(found) < count:
            raise self.truncated(f"it ends after {offset + len(found)} bytes")
        return found

    def unpack(self, layout: str, offset: int) -> tuple[Any, ...]:
        """``struct.unpack`` at ``offset``."""
        return struct.unpack(layout, self.at(offset, struct.calcsize(layout)))

    def expect(self, end: int) -> None:
        """Raise Truncated if the file ends before byte ``end``."""
        if end > self.size:
            raise self.truncated(f"it has {self.size} bytes, but needs at least {end}")

    def expect_written(self, start: int, end: int) -> None:
        """Raise Truncated if compressed data ends in a long run of zeros.

        Some copying programs reserve the final size first and fill it afterwards; entropy-coded
        data never ends in a kilobyte of zeros.
        """
        if end - start >= 4096 and not any(self.at(end - 1024, 1024)):
            raise self.truncated("its end is still empty, as if the copy were not finished")

    def truncated(self, cause: str) -> Truncated:
        """The error for a file that ends too early."""
        return Truncated(path=self.name, cause=cause)

    def broken(self, cause: str) -> NotAnImage:
        """The error for a file that contradicts its format."""
        return NotAnImage(path=self.name, cause=cause)

    def unsupported(self, cause: str, fix: str) -> Unsupported:
        """The error for a sound file of a kind that is not worked on."""
        return Unsupported(path=self.name, cause=cause, fix=fix)
