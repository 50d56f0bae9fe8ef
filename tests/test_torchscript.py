"""TorchScript gives its parameters, and its program is never run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from helpers.hostile_models import program
from retouchd.errors import ModelUnusable
from retouchd.manifest import resolve
from retouchd.nets.lama import Lama
from retouchd.weights import load_lama

MakeLama = Callable[..., Path]

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class _Node(nn.Module):
    """A module for every dot in a name, as the traced original has."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0


def _tree(state: dict[str, Tensor]) -> _Node:
    root = _Node()
    for name, value in state.items():
        node, *parts = root, *name.split(".")
        for part in parts[:-1]:
            if part not in dict(node.named_children()):
                node.add_module(part, _Node())
            node = node.get_submodule(part)  # type: ignore[assignment]
        if value.is_floating_point() and "running" not in name:
            node.register_parameter(parts[-1], nn.Parameter(value))
        else:
            node.register_buffer(parts[-1], value)
    return root.eval()


def _trace(state: dict[str, Tensor]) -> Any:
    return torch.jit.trace(_tree(state), torch.zeros(1))  # type: ignore[no-untyped-call]


def _traced(state: dict[str, Tensor], path: Path) -> Path:
    _trace(state).save(str(path))
    return path


def _load(path: Path) -> Lama:
    return load_lama(resolve(str(path), path.parent))


@pytest.mark.parametrize("prefix", ["", "generator.", "model.generator."])
def test_the_parameters_are_those_of_the_traced_network(
    make_lama: MakeLama, tmp_path: Path, prefix: str
) -> None:
    plain = make_lama()
    state = {f"{prefix}{key}": value for key, value in load_file(plain).items()}

    found = _load(_traced(state, tmp_path / "big-lama.pt")).state_dict()

    wanted = _load(plain).state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_parts_of_the_training_that_were_traced_along_are_ignored(
    make_lama: MakeLama, tmp_path: Path
) -> None:
    state = {f"generator.{key}": value for key, value in load_file(make_lama()).items()}
    state["val_evaluator.weight"] = torch.zeros(2)

    assert _load(_traced(state, tmp_path / "a.pt")).shape.ngf == 4


def test_a_missing_parameter_is_refused(make_lama: MakeLama, tmp_path: Path) -> None:
    state = load_file(make_lama())
    del state["model.5.conv2.ffc.convg2g.fu.bn.running_var"]

    with pytest.raises(ModelUnusable, match="holds no LaMa generator that fits"):
        _load(_traced(state, tmp_path / "a.pt"))


def test_a_frozen_program_has_nameless_weights_and_is_refused(
    make_lama: MakeLama, tmp_path: Path
) -> None:
    torch.jit.freeze(_trace(load_file(make_lama()))).save(str(tmp_path / "frozen.pt"))

    with pytest.raises(ModelUnusable, match="is it frozen"):
        _load(tmp_path / "frozen.pt")


def test_a_program_that_runs_when_it_is_loaded_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program(tmp_path / "hostile.pt", trace)

    with pytest.raises(ModelUnusable):
        _load(tmp_path / "hostile.pt")
    assert not trace.exists()

    torch.jit.load(str(tmp_path / "hostile.pt"))  # type: ignore[no-untyped-call]
    assert trace.exists(), "the program must do harm elsewhere, or the test shows nothing"


def test_a_class_of_python_in_the_archive_is_refused(make_lama: MakeLama, tmp_path: Path) -> None:
    path = _traced(load_file(make_lama()), tmp_path / "a.pt")
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "a/data.pkl":
                data = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
            new.writestr(name, data)
    path.write_bytes(out.getvalue())

    with pytest.raises(ModelUnusable, match=r"asks for posix\.system"):
        _load(path)


def test_a_flipped_bit_is_noticed_even_without_a_pin(make_lama: MakeLama, tmp_path: Path) -> None:
    path = _traced(load_file(make_lama()), tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.file_size - 1] ^= 1
    path.write_bytes(content)

    with pytest.raises(ModelUnusable, match="damaged"):
        _load(path)
