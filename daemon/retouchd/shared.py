"""Arrays that cross process borders without a copy: anonymous memory (memfd_create(2)).

The kernel frees it with the last process that holds it, so that no crash leaves anything behind.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Iterable
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


def allocate(shape: tuple[int, ...], dtype: str) -> tuple[SharedArray, NDArray[Any]]:
    """New shared memory, and the writable array in it."""
    fd = os.memfd_create("retouchd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    shared = SharedArray(fd, shape, dtype)
    try:
        os.ftruncate(fd, max(shared.nbytes, 1))
        return shared, attach(shared, writable=True)
    except BaseException:
        shared.close()
        raise


def put(array: NDArray[Any]) -> SharedArray:
    """A copy of ``array`` in shared memory."""
    shared, inside = allocate(array.shape, array.dtype.name)
    inside[...] = array
    return shared


def put_all(arrays: Iterable[NDArray[Any]]) -> list[SharedArray]:
    """Copies in shared memory: of all of them or, when memory runs out, of none."""
    shared: list[SharedArray] = []
    try:
        for array in arrays:
            shared.append(put(array))
    except BaseException:
        for one in shared:
            one.close()
        raise
    return shared


def attach(shared: SharedArray, *, writable: bool = False, private: bool = False) -> NDArray[Any]:
    """The array behind ``shared``; it keeps the mapping alive.

    private: writable, but writes stay in this process (copy on write, page by page).
    """
    if shared.nbytes == 0:
        return np.empty(shared.shape, shared.dtype)
    kind = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    rights = mmap.PROT_READ | (mmap.PROT_WRITE if writable or private else 0)
    memory = mmap.mmap(shared.fd, shared.nbytes, kind, rights)
    return np.frombuffer(memory, shared.dtype).reshape(shared.shape)
