"""Safetensors files, read straight into the memory of their tensors.

Nothing is mapped. Whoever truncates a file kills every process that looks at a mapping of it
(SIGBUS), and one that is rewritten changes under it; a file that is read can only come out wrong,
which its hash tells. Reading costs no second copy of the model either: each tensor's bytes go to
where the tensor lies, and are hashed there.

The format (https://github.com/huggingface/safetensors#format): the header's length in 8 bytes,
the header in JSON, name → dtype, shape and place, then the tensors without gaps; little-endian.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedIOBase

import torch
from torch import Tensor

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
}
_MAX_HEADER = 100_000_000  # the format's own limit
_MAX_DIMENSIONS = 16  # a network's weights have four

Seen = Callable[[memoryview], object]


@dataclass(frozen=True)
class _Record:
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def is_tensorfile(head: bytes) -> bool:
    """Whether a file that begins so is in this format; 9 bytes are enough."""
    return head[8:9] == b"{"


def read_tensors(stream: BufferedIOBase, seen: Seen) -> dict[str, Tensor]:
    """Name → tensor of a whole file, on the CPU; none of them empty.

    seen: is given every byte in order, as a hash's ``update``. Raises ValueError for what is not
    exactly such a file, before any memory is taken that its size does not warrant, and OSError.
    """
    size = stream.seek(0, 2)
    stream.seek(0)
    header = _header(stream, size, seen)
    records = _records(header, size - stream.tell())
    tensors = {record.name: _tensor(stream, record, seen) for record in records}
    if stream.read(1):
        raise ValueError("it grew while it was read")
    return tensors


def _header(stream: BufferedIOBase, size: int, seen: Seen) -> dict[str, object]:
    count = int.from_bytes(_fill(stream, memoryview(bytearray(8)), seen), "little")
    if count > min(size - 8, _MAX_HEADER):
        raise ValueError(f"its header claims {count} bytes")
    try:
        header = json.loads(bytes(_fill(stream, memoryview(bytearray(count)), seen)))
    except RecursionError:
        raise ValueError("its header is nested") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    header.pop("__metadata__", None)
    return header


def _records(header: dict[str, object], size: int) -> list[_Record]:
    """In the file's order; raises ValueError unless they fill it without gap and overlap."""
    records = sorted((_record(*item) for item in header.items()), key=lambda r: (r.begin, r.end))
    position = 0
    for record in records:
        if record.begin != position:
            raise ValueError(f"{record.name} begins at {record.begin} instead of {position}")
        position = record.end
    if position != size:
        raise ValueError(f"its tensors have {position} bytes of {size}")
    return records


def _record(name: str, entry: object) -> _Record:
    try:
        dtype, shape, (begin, end) = (
            entry[key]  # type: ignore[index]
            for key in ("dtype", "shape", "data_offsets")
        )
        kind = _DTYPES[dtype]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name} is not described as a tensor") from None
    # A bool counts as an int in Python, and JSON has both.
    if not isinstance(shape, list) or any(type(n) is not int for n in (*shape, begin, end)):
        raise ValueError(f"{name} has no numbers for sizes")
    if len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"{name} has {len(shape)} dimensions")
    if min(shape, default=1) < 1 or end - begin != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{name} of {shape} does not fit its {end - begin} bytes")
    return _Record(name, kind, tuple(shape), begin, end)


def _tensor(stream: BufferedIOBase, record: _Record, seen: Seen) -> Tensor:
    raw = torch.empty(record.end - record.begin, dtype=torch.uint8)
    _fill(stream, raw.numpy().data, seen)
    return raw.view(record.dtype).view(record.shape)


def _fill(stream: BufferedIOBase, target: memoryview, seen: Seen) -> memoryview:
    """Read until the target is full; gives it back."""
    read = 0
    while read < len(target):
        count = stream.readinto(target[read:])
        if not count:
            raise ValueError("it is cut off")
        read += count
    seen(target)
    return target
