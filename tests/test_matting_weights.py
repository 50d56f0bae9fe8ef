"""The matting network's weights load strictly, and from nothing but plain tensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from retouchd.errors import ModelUnusable
from retouchd.manifest import ModelSpec
from retouchd.matting_weights import cvunet_bytes, load_cvunet, parse_cvunet
from retouchd.nets.cvunet import CvUNet, CvUNetShape, fused

SMALL = CvUNetShape(width=0.25, context=16, rates=(1, 2), decoder=(16, 16, 8, 8), head=8)
PATH = Path("net.safetensors")


@pytest.fixture(scope="module")
def content() -> bytes:
    return cvunet_bytes(CvUNet(SMALL))


def _edited(content: bytes, edit: Any = None, **metadata: str) -> bytes:
    tensors = dict(safetensors.torch.load(content))
    if edit:
        edit(tensors)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return bytes(safetensors.torch.save(tensors, header["__metadata__"] | metadata))


def test_what_was_saved_loads_with_its_shape_and_every_weight() -> None:
    net = CvUNet(SMALL)

    loaded = parse_cvunet("m", PATH, cvunet_bytes(net))

    assert loaded.shape == SMALL
    assert not loaded.training
    state = net.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.state_dict().items())


def test_a_file_without_metadata_is_taken_for_the_default_network(content: bytes) -> None:
    plain = bytes(safetensors.torch.save(dict(safetensors.torch.load(content))))

    with pytest.raises(ModelUnusable, match="size mismatch"):
        parse_cvunet("m", PATH, plain)


@pytest.mark.parametrize(
    ("edit", "cause"),
    [
        (lambda t: t.pop("head.weight"), "Missing key"),
        (lambda t: t.update(extra=torch.zeros(1)), "Unexpected key"),
        (lambda t: t.update({"head.weight": torch.zeros(1, 8, 5, 5)}), "size mismatch"),
        (lambda t: t.update({"head.weight": torch.zeros(1, 8, 3, 3, dtype=torch.int8)}), "int8"),
        (lambda t: t["head.weight"].fill_(float("nan")), "not finite"),
    ],
)
def test_weights_that_do_not_fit_exactly_are_refused(content: bytes, edit: Any, cause: str) -> None:
    with pytest.raises(ModelUnusable, match=cause):
        parse_cvunet("m", PATH, _edited(content, edit))


@pytest.mark.parametrize(
    ("metadata", "cause"),
    [
        ({"architecture": "lama"}, "architecture is lama"),
        ({"shape": "{"}, "no matting network"),
        ({"shape": "[]"}, "not a table"),
        ({"shape": '{"depth": 3}'}, "depth"),
        ({"shape": '{"context": 100000000}'}, "between 1 and 1024"),
        ({"shape": '{"width": 1e9}'}, "absurdly large"),
        ({"shape": '{"width": "wide"}'}, "no matting network"),
        ({"shape": '{"decoder": [8, 8]}'}, "no matting network"),
    ],
)
def test_odd_metadata_is_refused_in_words(
    content: bytes, metadata: dict[str, str], cause: str
) -> None:
    with pytest.raises(ModelUnusable, match=cause):
        parse_cvunet("m", PATH, _edited(content, **metadata))


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_file_that_is_cut_off_or_no_safetensors_is_refused(content: bytes, cut: int) -> None:
    with pytest.raises(ModelUnusable, match="not a valid"):
        parse_cvunet("m", PATH, content[:cut])


def test_half_precision_files_load_as_float32(content: bytes) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({k: v.half() for k, v in tensors.items() if v.is_floating_point()})

    net = parse_cvunet("m", PATH, _edited(content, halve))

    assert net.head.weight.dtype == torch.float32


def test_kernels_can_be_stored_short_and_nothing_else() -> None:
    net = CvUNet(SMALL).eval()
    content = cvunet_bytes(net, torch.float16)

    back = parse_cvunet("m", PATH, content).state_dict()

    assert len(content) < 0.65 * len(cvunet_bytes(net))
    for key, tensor in net.state_dict().items():
        kept = tensor.half().float() if tensor.dim() > 1 else tensor
        assert torch.equal(back[key], kept), key


def test_a_network_that_can_not_be_loaded_again_is_not_saved() -> None:
    with pytest.raises(ValueError, match="fused"):
        cvunet_bytes(fused(CvUNet(SMALL)))
    broken = CvUNet(SMALL)
    torch.nn.init.constant_(broken.head.bias, float("inf"))
    with pytest.raises(ValueError, match="not finite"):
        cvunet_bytes(broken)


def test_only_the_bytes_that_were_pinned_are_loaded(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()

    assert load_cvunet(ModelSpec("m", "lama", path, digest)).shape == SMALL
    with pytest.raises(ModelUnusable, match="was expected"):
        load_cvunet(ModelSpec("m", "lama", path, "0" * 64))
    with pytest.raises(ModelUnusable, match="no weights file"):
        load_cvunet(ModelSpec("m", "lama", None, digest))
