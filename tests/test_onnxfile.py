"""Nothing that an ONNX file refers to outside itself escapes notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retouchd import onnxfile
from retouchd.onnxfile import outside_files

MakeOnnx = Callable[..., Path]


def external(onnx: Any, name: str = "w") -> Any:
    """A tensor that lies in a file beside the model."""
    tensor = onnx.numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret.bin"
    return tensor


def hidden(onnx: Any, place: str) -> bytes:
    """A model with such a tensor in an unusual place."""
    helper = onnx.helper
    picture = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None)
    alpha = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    constant = helper.make_node("Constant", [], ["y"])
    attribute = constant.attribute.add()
    attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
    attribute.t.CopyFrom(external(onnx))
    inner = helper.make_graph([constant], "inner", [], [alpha])
    choice = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    function = helper.make_function(
        "own", "F", [], ["y"], [constant], [helper.make_opsetid("", 17)]
    )
    nodes = {"attribute": [constant], "subgraph": [choice]}.get(place, [])
    graph = helper.make_graph(nodes, "g", [picture], [alpha])
    model = helper.make_model(graph)
    if place == "function":
        model.functions.append(function)
    if place == "training":
        model.training_info.add().algorithm.CopyFrom(inner)
    if place == "initializer":
        graph.initializer.append(external(onnx))
        model.graph.CopyFrom(graph)
    if place == "sparse":
        sparse = model.graph.sparse_initializer.add()
        sparse.values.CopyFrom(external(onnx))
    content: bytes = model.SerializeToString()
    return content


def test_a_network_with_all_its_weights_inside_refers_to_nothing(make_onnx: MakeOnnx) -> None:
    assert outside_files(make_onnx().read_bytes()) == set()


@pytest.mark.parametrize(
    "place", ["initializer", "sparse", "attribute", "subgraph", "function", "training"]
)
def test_weights_elsewhere_are_found_wherever_they_are_named(place: str) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx writes the files of this test")

    assert outside_files(hidden(onnx, place)) == {"../../secret.bin"}


def test_what_onnx_itself_puts_into_another_file_is_found(
    make_onnx: MakeOnnx, tmp_path: Path
) -> None:
    import onnx

    model = onnx.load(str(make_onnx()))
    onnx.save_model(
        model,
        str(tmp_path / "split.onnx"),
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )

    assert outside_files((tmp_path / "split.onnx").read_bytes()) == {"w.bin"}


def test_weights_that_are_elsewhere_without_saying_where_count_as_well() -> None:
    onnx = pytest.importorskip("onnx", reason="onnx writes the files of this test")
    tensor = external(onnx)
    del tensor.external_data[:]
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])

    assert outside_files(onnx.helper.make_model(graph).SerializeToString()) == {"?"}


def test_every_way_from_a_model_to_a_tensor_is_known() -> None:
    """By onnx's own description of the format, so that a newer one can't add a way unnoticed."""
    onnx = pytest.importorskip("onnx", reason="onnx describes its format")
    names = {
        "model": "ModelProto",
        "training": "TrainingInfoProto",
        "function": "FunctionProto",
        "graph": "GraphProto",
        "node": "NodeProto",
        "attribute": "AttributeProto",
        "sparse": "SparseTensorProto",
        "tensor": "TensorProto",
    }
    kinds = {proto: kind for kind, proto in names.items()}

    for kind, proto in names.items():
        fields = getattr(onnx, proto).DESCRIPTOR.fields
        inside = {
            field.number: kinds[field.message_type.name]
            for field in fields
            if field.message_type is not None and field.message_type.name in kinds
        }
        assert inside == onnxfile._INSIDE[kind], proto  # type: ignore[index]


def test_a_file_that_breaks_off_anywhere_is_refused(make_onnx: MakeOnnx) -> None:
    content = make_onnx().read_bytes()

    for length in range(len(content) - 8):  # what follows the graph is shorter than that
        with pytest.raises(ValueError, match=r"holds no graph|breaks off|longer than|wire type"):
            outside_files(content[:length])


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_judged_and_nothing_worse(content: bytes) -> None:
    try:
        outside_files(content)
    except ValueError:
        return


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"PK\x03\x04", b"\x00" * 64])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        outside_files(content)
