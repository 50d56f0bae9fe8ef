"""Files that are called models and are after something else: they create a file, open a connection
or start a program as soon as somebody loads them as torch and pickle do."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

EXTERNAL = "canary.bin"
"""The file that ``onnx_elsewhere`` asks for, beside itself."""


class Payload:
    """A call that whoever unpickles it is to make."""

    def __init__(self, call: Callable[..., object], *args: object) -> None:
        self._reduced = (call, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._reduced


class Program(nn.Module):
    """TorchScript that creates a file as soon as it is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.written = 0

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        self.written = torch.from_file(self.path, True, 4).numel()


class Listener:
    """Somebody who waits for a connection that must not come."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0)
        self.port: int = self._socket.getsockname()[1]

    @property
    def was_called(self) -> bool:
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


def program(path: Path, canary: Path) -> Path:
    """A TorchScript archive that creates ``canary`` where it is loaded as such."""
    made: Any = torch.jit.script(Program(str(canary)))
    made.save(str(path))
    canary.unlink(missing_ok=True)
    return path


def pickles(canary: Path, port: int) -> dict[str, Payload]:
    """Payloads by what they are after."""
    call = f"__import__('socket').create_connection(('127.0.0.1', {port}), 5)"
    return {
        "starts a program": Payload(os.system, f"touch {canary}"),
        "creates a file": Payload(Path.touch, canary),
        "calls somebody": Payload(eval, call),
        "runs code": Payload(exec, f"open({str(canary)!r}, 'w').close()"),
        "loads another pickle": Payload(pickle.loads, pickle.dumps(Payload(Path.touch, canary))),
    }


def checkpoint(state: dict[str, Tensor], payload: object, *, old: bool = False) -> bytes:
    """As a training writes it, with something beside the weights. old: torch before 1.6."""
    weights = OrderedDict({f"generator.{key}": value for key, value in state.items()})
    out = io.BytesIO()
    content = {"callbacks": payload, "state_dict": weights}
    torch.save(content, out, _use_new_zipfile_serialization=not old)
    return out.getvalue()


def in_place_of_weights(content: bytes, payload: object) -> bytes:
    """A checkpoint whose records were exchanged for pickles, each of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            wanted = name.endswith("data.pkl") or "/data/" in name
            new.writestr(name, pickle.dumps(payload) if wanted else old.read(name))
    return out.getvalue()


def flipped(content: bytes, share: float) -> bytes:
    """With one bit changed at that part of its length."""
    data = bytearray(content)
    data[int(share * (len(data) - 1))] ^= 4
    return bytes(data)


def tensorfile(header: object, data: bytes = b"") -> bytes:
    """Safetensors with a header of one's own: a tree, or its text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def lying_tensorfiles() -> dict[str, bytes]:
    """Headers that promise what is not there, or are none."""

    def one(**changed: object) -> dict[str, object]:
        return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changed}}

    return {
        "a header of exabytes": (1 << 60).to_bytes(8, "little") + b"{}",
        "a tensor of exabytes": tensorfile(one(shape=[1 << 61], data_offsets=[0, 1 << 63])),
        "a tensor beyond the end": tensorfile(one(data_offsets=[0, 1 << 20]), bytes(8)),
        "before the beginning": tensorfile(one(data_offsets=[-8, 0]), bytes(8)),
        "thousands of dimensions": tensorfile(
            one(dtype="U8", shape=[1] * 5000, data_offsets=[0, 1]), b"\0"
        ),
        "nested without end": tensorfile(b'{"__metadata__":' + b"[" * 200_000),
        "a name of no characters": tensorfile(b'{"\\ud800":' + b'{"dtype":1}}'),
        "a number of many digits": tensorfile(b'{"a":' + b"9" * 5000 + b"}"),
        "a network that fills the memory": tensorfile(
            {
                **one(),
                "__metadata__": {
                    "architecture": "cvunet",
                    "shape": json.dumps({"decoder": [1 << 30] * 4}),
                },
            },
            bytes(8),
        ),
    }


def onnx_elsewhere(content: bytes, location: str = EXTERNAL) -> bytes:
    """The network with its weights said to lie in another file."""
    import onnx

    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        data = tensor.raw_data
        onnx.external_data_helper.set_external_data(tensor, location, 0, len(data))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
    found: bytes = model.SerializeToString()
    return found
