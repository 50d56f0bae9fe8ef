"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from retouchd.hands import Hands
from retouchd.ledger import Ledger
from retouchd.roots import Root, establish, open_root

# A busy machine must not make a property look slow.
settings.register_profile("retouchd", deadline=None)
settings.load_profile("retouchd")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have files whose tests mostly wait for services take turns with those that compute, so that
    several workers do not all wait, nor all compute, at the same time. Short files come last."""
    files = list(dict.fromkeys(item.path for item in items))
    waiting = [path for path in files if path.parent.name in ("e2e", "faults")]
    computing = [path for path in files if path.parent.name not in ("e2e", "faults")]
    place = {path: number / len(computing) for number, path in enumerate(computing)}
    place.update({path: 0.9 * number / len(waiting) for number, path in enumerate(waiting)})
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample data, which is not part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RETOUCHD_SAMPLES", beside))
    if not folder.is_dir():
        pytest.skip(f"there is no sample data at {folder} (set RETOUCHD_SAMPLES)")
    return folder


@pytest.fixture(scope="module")
def hands() -> Iterator[Hands]:
    """Two hands for a module, with room for 8 GiB each."""
    made = Hands(2, 1, 8 << 30)
    yield made
    made.close()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch computes with one thread: claims to the bit hold for a fixed number of them, and one is
    quick on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty one, at ``tmp_path/ledger.sqlite3``."""
    made = Ledger(tmp_path / "ledger.sqlite3")
    yield made
    made.close()


@pytest.fixture
def make_root(tmp_path: Path) -> Iterator[Callable[..., Root]]:
    """Set up and open roots: ``make_root("inbox")``, or ``make_root("archive", a_folder)``."""
    with ExitStack() as stack:

        def make(role: str = "inbox", path: Path | None = None) -> Root:
            ref = establish("lane", role, str(path or tmp_path / role))
            return stack.enter_context(open_root(ref))

        yield make


@pytest.fixture
def make_lama(tmp_path: Path) -> Callable[..., Path]:
    """Write a small LaMa with random weights under the original implementation's names.

    ``make_lama(name="tiny", ngf=4, downs=3, blocks=1, seed=0)`` → path of a .safetensors file.
    """

    def make(name: str = "tiny", **shape: int) -> Path:
        from safetensors.torch import save_file

        path = tmp_path / f"{name}.safetensors"
        save_file(_original_state(**shape), path)
        return path

    return make


def _original_state(ngf: int = 4, downs: int = 3, blocks: int = 1, seed: int = 0) -> dict[str, Any]:
    """Random weights, named and numbered as github.com/advimman/lama does."""
    import torch

    random = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}

    def conv(name: str, out: int, inp: int, kernel: int) -> None:
        scale = (inp * kernel * kernel) ** -0.5
        state[f"{name}.weight"] = torch.randn(out, inp, kernel, kernel, generator=random) * scale

    def norm(name: str, features: int) -> None:
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.2, 0.2),
            ("running_mean", -0.2, 0.2),
            ("running_var", 0.5, 1.5),
        ):
            uniform = torch.rand(features, generator=random)
            state[f"{name}.{part}"] = low + (high - low) * uniform
        state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    conv("model.1.ffc.convl2l", ngf, 4, 7)
    norm("model.1.bn_l", ngf)
    for level in range(downs - 1):
        conv(f"model.{2 + level}.ffc.convl2l", ngf << level + 1, ngf << level, 3)
        norm(f"model.{2 + level}.bn_l", ngf << level + 1)
    deep = ngf << downs
    spectral = deep * 3 // 4
    local = deep - spectral
    split = f"model.{1 + downs}"
    for path, stream, out in (("convl2l", "bn_l", local), ("convl2g", "bn_g", spectral)):
        conv(f"{split}.ffc.{path}", out, deep // 2, 3)
        norm(f"{split}.{stream}", out)
    for block in range(blocks):
        for number in (1, 2):
            name = f"model.{2 + downs + block}.conv{number}"
            conv(f"{name}.ffc.convl2l", local, local, 3)
            conv(f"{name}.ffc.convl2g", spectral, local, 3)
            conv(f"{name}.ffc.convg2l", local, spectral, 3)
            conv(f"{name}.ffc.convg2g.conv1.0", spectral // 2, spectral, 1)
            norm(f"{name}.ffc.convg2g.conv1.1", spectral // 2)
            conv(f"{name}.ffc.convg2g.fu.conv_layer", spectral, spectral, 1)
            norm(f"{name}.ffc.convg2g.fu.bn", spectral)
            conv(f"{name}.ffc.convg2g.conv2", spectral, spectral // 2, 1)
            norm(f"{name}.bn_l", local)
            norm(f"{name}.bn_g", spectral)
    for up in range(downs):
        first = 3 + downs + blocks + 3 * up
        wide = deep >> up
        conv(f"model.{first}", wide, wide // 2, 3)
        state[f"model.{first}.bias"] = torch.zeros(wide // 2)
        norm(f"model.{first + 1}", wide // 2)
    head = f"model.{4 + downs + blocks + 3 * downs}"
    conv(head, 3, ngf, 7)
    state[f"{head}.bias"] = torch.zeros(3)
    return state


@pytest.fixture
def make_onnx(tmp_path: Path) -> Callable[..., Path]:
    """Write an ONNX network whose output is known: weights · colours + bias, pixel by pixel.

    ``make_onnx(name="tiny", weights=(0.2, 0.3, 0.5), bias=0.0, shape=(None, 3, None, None),
    layout="nchw", dtype="FLOAT", gives="n1hw", decoy=None, shrinks=1, boom=0)`` → path.

    gives: the output's axes: n1hw, nhw1, nhw or hw. decoy: the name of a first output that holds
    only ones. shrinks: the output's sides are that much smaller. boom: so many times the memory.
    """
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    pytest.importorskip("onnx", reason="onnx, which writes the networks of this test, is missing")

    def make(name: str = "tiny", **wishes: Any) -> Path:
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(_linear_network(**wishes))
        return path

    return make


def _linear_network(
    weights: tuple[float, ...] = (0.2, 0.3, 0.5),
    bias: float = 0.0,
    shape: tuple[int | None, ...] = (None, 3, None, None),
    layout: str = "nchw",
    dtype: str = "FLOAT",
    gives: str = "n1hw",
    decoy: str | None = None,
    shrinks: int = 1,
    boom: int = 0,
) -> bytes:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    kind = getattr(TensorProto, dtype)
    number = helper.tensor_dtype_to_np_dtype(kind)
    kernel = np.array(weights, number).reshape(1, len(weights), 1, 1)
    constants = [
        numpy_helper.from_array(kernel, "kernel"),
        numpy_helper.from_array(np.array([bias], number), "bias"),
        numpy_helper.from_array(np.array([boom or 1, 1, 1, 1], np.int64), "times"),
        numpy_helper.from_array(np.array([0], np.int64), "first"),
        numpy_helper.from_array(np.array([1], np.int64), "second"),
    ]
    node, now = helper.make_node, "picture"
    nodes = []

    def step(operator: str, *inputs: str, **attributes: Any) -> None:
        nonlocal now
        after = f"after {len(nodes)}"
        nodes.append(node(operator, [now, *inputs], [after], **attributes))
        now = after

    if layout == "nhwc":
        step("Transpose", perm=[0, 3, 1, 2])
    if shrinks > 1:
        step("AveragePool", kernel_shape=[shrinks] * 2, strides=[shrinks] * 2)
    step("Conv", "kernel", "bias")
    if boom:
        step("Expand", "times")
    if gives == "nhw1":
        step("Transpose", perm=[0, 2, 3, 1])
    if gives in ("nhw", "hw"):
        step("Squeeze", "second")
    if gives == "hw":
        step("Squeeze", "first")
    nodes.append(node("Identity", [now], ["alpha"]))
    outputs = [helper.make_tensor_value_info("alpha", kind, None)]
    if decoy:
        nodes.append(node("Div", [now, now], [decoy]))
        outputs.insert(0, helper.make_tensor_value_info(decoy, kind, None))
    graph = helper.make_graph(
        nodes, "linear", [helper.make_tensor_value_info("picture", kind, shape)], outputs, constants
    )
    opset = helper.make_opsetid("", 17)
    content: bytes = helper.make_model(
        graph, opset_imports=[opset], ir_version=8
    ).SerializeToString()
    return content
