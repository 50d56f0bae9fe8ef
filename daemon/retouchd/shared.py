"""Arrays that cross process borders without a copy: anonymous memory (memfd_create(2)).

The kernel frees it with the last process that holds it, so that no crash leaves anything behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retouchd.errors import Unexpected

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_KINDS = {"uint8", "uint16", "float32"}
_DIMENSIONS = 4
_LONGEST_SIDE = 1 << 40


@dataclass(frozen=True)
class SharedArray:
    """An array in shared memory: its descriptor travels beside the message, the rest inside."""

    fd: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def close(self) -> None:
        """Give the memory up; arrays that were mapped stay valid."""
        os.close(self.fd)

    def to_wire(self) -> dict[str, Any]:
        """What the message says of it."""
        return {"shape": list(self.shape), "dtype": self.dtype}


def from_wire(fd: int, wire: dict[str, Any]) -> SharedArray:
    """Check what another process claims about the memory behind ``fd``; raises Unexpected.

    The memory is sealed, so that its giver can't shrink it under our feet (SIGBUS).
    """
    try:
        array = SharedArray(fd, tuple(int(side) for side in wire["shape"]), str(wire["dtype"]))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise Unexpected(cause=f"what came is not shared memory ({error})") from None
    sane = len(array.shape) <= _DIMENSIONS and all(0 <= n <= _LONGEST_SIDE for n in array.shape)
    if array.dtype not in _KINDS or not sane:
        raise Unexpected(cause=f"shared memory of kind {array.dtype} and shape {array.shape}")
    if os.fstat(fd).st_size < array.nbytes:
        raise Unexpected(cause="shared memory is smaller than announced")
    return array


def allocate(
    shape: tuple[int, ...], dtype: str, *, at_once: bool = False
) -> tuple[SharedArray, NDArray[Any]]:
    """New shared memory, and the writable array in it.

    at_once: take all of the memory now, which is cheaper than page by page where all is written.
    """
    shared = _reserved(shape, dtype)
    try:
        return shared, attach(shared, writable=True, at_once=at_once)
    except BaseException:
        shared.close()
        raise


def _reserved(shape: tuple[int, ...], dtype: str) -> SharedArray:
    fd = os.memfd_create("retouchd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    shared = SharedArray(fd, shape, dtype)
    try:
        os.ftruncate(fd, max(shared.nbytes, 1))
    except BaseException:
        shared.close()
        raise
    return shared


def put(array: NDArray[Any], rows: slice = slice(None)) -> SharedArray:
    """A copy of ``array`` in shared memory; of a part of its rows, where the others are all zero.

    What was never written takes no memory, until somebody reads it.
    """
    shared = _reserved(array.shape, array.dtype.name)
    try:
        first, _, _ = rows.indices(len(array))
        # Writing saves the kernel to clear each page and to map it: half the time of a copy.
        _write(shared.fd, np.ascontiguousarray(array[rows]), first * array[:1].nbytes)
    except BaseException:
        shared.close()
        raise
    return shared


def _write(fd: int, array: NDArray[Any], at: int) -> None:
    data, done = array.reshape(-1).view(np.uint8), 0
    while done < data.size:
        done += os.pwrite(fd, data[done:].data, at + done)


@contextlib.contextmanager
def handing_over() -> Iterator[list[SharedArray]]:
    """A list to collect arrays in for another process; all are given up if anything fails."""
    shared: list[SharedArray] = []
    try:
        yield shared
    except BaseException:
        for one in shared:
            one.close()
        raise


def attach(
    shared: SharedArray, *, writable: bool = False, private: bool = False, at_once: bool = False
) -> NDArray[Any]:
    """The array behind ``shared``; it keeps the mapping alive.

    private: writable, but writes stay in this process (copy on write, page by page).
    """
    if shared.nbytes == 0:
        return np.empty(shared.shape, shared.dtype)
    kind = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    kind |= mmap.MAP_POPULATE if at_once else 0
    rights = mmap.PROT_READ | (mmap.PROT_WRITE if writable or private else 0)
    memory = mmap.mmap(shared.fd, shared.nbytes, kind, rights)
    return np.frombuffer(memory, shared.dtype).reshape(shared.shape)
