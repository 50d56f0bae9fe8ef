"""What an ONNX file refers to outside itself, found before anything loads it.

A model may keep weights in other files. Nothing pins those, and onnxruntime nowhere promises to
leave them alone, so they are looked for in the bytes themselves (onnx.proto3 in protobuf's wire
format).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

Message = Literal["model", "training", "function", "graph", "node", "attribute", "sparse", "tensor"]

_INSIDE: Mapping[Message, Mapping[int, Message]] = {  # field number → what is in it
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_GRAPH, _EXTERNAL_DATA, _DATA_LOCATION = 7, 13, 14
_FIXED = {1: 8, 5: 4}  # wire type → bytes
_VARINT, _BYTES = 0, 2


def outside_files(content: bytes) -> set[str]:
    """The files that a model's tensors lie in; empty where all is in ``content``.

    A tensor that is elsewhere, but does not say where, gives "?". Raises ValueError for what is no
    ONNX model.
    """
    found: set[str] = set()
    graphs = 0
    waiting: list[tuple[Message, memoryview]] = [("model", memoryview(content))]
    while waiting:
        kind, part = waiting.pop()
        inside = _INSIDE[kind]
        for number, value in _fields(part):
            if isinstance(value, memoryview):
                graphs += kind == "model" and number == _GRAPH
                if kind == "tensor" and number == _EXTERNAL_DATA:
                    found.update(_location(value))
                elif number in inside:
                    waiting.append((inside[number], value))
            elif kind == "tensor" and number == _DATA_LOCATION and value:
                found.add("?")
    if graphs != 1:
        raise ValueError("it holds no graph")
    return found if found == {"?"} else found - {"?"}


def _location(pair: memoryview) -> set[str]:
    """The value of a key-value pair whose key is ``location``."""
    fields = dict(_fields(pair))
    key, value = fields.get(1), fields.get(2)
    if not isinstance(key, memoryview) or bytes(key) != b"location":
        return {"?"}
    return {bytes(value).decode(errors="replace")} if isinstance(value, memoryview) else {"?"}


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: numbers as such, all else as bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ValueError(f"a field has the wire type {wire}")
        if number == 0 or at + length > len(message):
            raise ValueError("a field is longer than the file")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it breaks off")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has too many digits")
