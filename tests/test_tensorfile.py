"""Safetensors files are read as the format says, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from retouchd.errors import ModelUnusable
from retouchd.manifest import resolve
from retouchd.tensorfile import is_tensorfile, read_tensors
from retouchd.weights import LamaFile

TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).view(2, 3),
    "a": torch.tensor(7),
    "c": torch.rand(5).bfloat16(),
    "d": torch.rand(2, 1, 2).half(),
    "e": torch.arange(4, dtype=torch.uint8),
}
WHOLE = safetensors.torch.save(TENSORS, metadata={"format": "pt"})


def _read(content: bytes) -> dict[str, torch.Tensor]:
    return read_tensors(io.BytesIO(content), lambda _: None)


def _file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _entry(shape: Any = (2,), begin: Any = 0, end: Any = 8, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_every_tensor_is_read_as_its_writer_meant_it() -> None:
    found = _read(WHOLE)

    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name
    assert is_tensorfile(WHOLE[:9])


def test_every_byte_is_seen_once_and_in_order() -> None:
    digest = hashlib.sha256()

    read_tensors(io.BytesIO(WHOLE), digest.update)

    assert digest.hexdigest() == hashlib.sha256(WHOLE).hexdigest()


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_is_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        _read(WHOLE[:length])


@pytest.mark.parametrize(
    "content",
    [
        WHOLE + b"x",
        _file({"a": _entry()}, bytes(9)),
        _file({"a": _entry(), "b": _entry(begin=9, end=17)}, bytes(17)),
        _file({"a": _entry(), "b": _entry(begin=4, end=12)}, bytes(12)),
        _file({"a": _entry(begin=-8, end=0)}, b""),
        _file({"a": _entry(shape=[3])}, bytes(8)),
        _file({"a": _entry(shape=[-1, -2])}, bytes(8)),
        _file({"a": _entry(shape=[10**30, 0], end=0)}),
        _file({"a": _entry(shape=[1 << 62, 4], end=8)}, bytes(8)),
        _file({"a": _entry(shape=[2.0])}, bytes(8)),
        _file({"a": _entry(shape=[True, 2])}, bytes(8)),
        _file({"a": _entry(shape="2")}, bytes(8)),
        _file({"a": _entry(shape=[2, *[1] * 5000])}, bytes(8)),
        _file({"a": _entry(dtype="F7")}, bytes(8)),
        _file({"a": _entry(dtype=[1])}, bytes(8)),
        _file({"a": {"dtype": "F32", "shape": [2]}}, bytes(8)),
        _file({"a": 3}, bytes(8)),
        _file([1, 2], bytes(8)),
        _file(b"[" * 100_000),
        _file(b"{" + bytes(10)),
        _file(b"\xff\xfe"),
        (1 << 60).to_bytes(8, "little") + b"{}",
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        _read(content)


def test_a_file_that_is_cut_off_after_it_was_opened_ends_no_process(
    make_lama: Callable[..., Path], tmp_path: Path
) -> None:
    """Reading a mapping of it would."""
    path = make_lama()
    file = LamaFile(resolve(str(path), tmp_path))

    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ModelUnusable, match="was expected"):
        file.load()

    file.close()


_LOAD = """
import sys
from pathlib import Path
import safetensors.torch, torch
from retouchd.manifest import resolve
from retouchd.nets.fused_lama import FusedLama
from retouchd.nets.lama import Lama, LamaShape
from retouchd.weights import load_lama

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

torch.set_num_threads(1)
spec = resolve(sys.argv[1], Path(sys.argv[1]).parent)
FusedLama(Lama(LamaShape(ngf=4, blocks=1)).eval(), spend=True)
before = peak()
network = FusedLama(load_lama(spec), spend=True)
print((peak() - before) * 1024 / spec.path.stat().st_size)
"""


@pytest.mark.timeout(60)
def test_loading_needs_hardly_more_memory_than_the_model(
    make_lama: Callable[..., Path],
) -> None:
    """No second copy, neither of the file nor of the network before it is fused."""
    path = make_lama(ngf=40, blocks=12)
    # What glibc keeps of freed memory would add an amount that says nothing about us.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}

    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert done.returncode == 0, done.stderr
    assert path.stat().st_size > 40 << 20
    assert 0.9 < float(done.stdout) < 1.5
