"""Weights load strictly, from exactly the bytes that were pinned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from retouchd import weightfile
from retouchd.errors import ModelUnusable
from retouchd.lama_names import lama_name, lama_shape
from retouchd.manifest import ModelSpec, resolve
from retouchd.nets.lama import Lama, LamaShape
from retouchd.weights import load_lama

MakeLama = Callable[..., Path]


def _spec(path: Path) -> ModelSpec:
    return resolve(str(path), path.parent)


def _edited(path: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> ModelSpec:
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)
    return _spec(path)


@pytest.mark.parametrize("numbers", [(4, 3, 1), (8, 3, 2), (4, 2, 3), (4, 1, 1)])
def test_the_shape_is_read_from_the_names_and_sizes(
    make_lama: MakeLama, numbers: tuple[int, int, int]
) -> None:
    ngf, downs, blocks = numbers

    module = load_lama(_spec(make_lama(ngf=ngf, downs=downs, blocks=blocks)))

    assert module.shape == LamaShape(ngf=ngf, downs=downs, blocks=blocks)


def test_a_feature_limit_that_was_reached_is_read_as_well() -> None:
    wanted = LamaShape(ngf=4, downs=3, blocks=1, max_features=24)
    ours = {name: tuple(t.shape) for name, t in Lama(wanted).state_dict().items()}
    split = {
        "model.1.ffc.convl2l.weight": ours["stem.l2l.weight"],
        "model.2.ffc.convl2l.weight": ours["downs.0.l2l.weight"],
        "model.3.ffc.convl2l.weight": ours["downs.1.l2l.weight"],
        "model.4.ffc.convl2l.weight": ours["split.l2l.weight"],
        "model.4.ffc.convl2g.weight": ours["split.l2g.weight"],
        "model.5.conv1.ffc.convl2l.weight": ours["blocks.0.conv1.l2l.weight"],
        "model.17.weight": ours["head.weight"],
    }

    found = lama_shape({name: torch.empty(shape) for name, shape in split.items()})

    assert found == wanted


def test_every_value_lands_where_its_name_says(make_lama: MakeLama) -> None:
    path = make_lama(blocks=2)
    stored = load_file(path)
    module = load_lama(_spec(path))
    loaded = module.state_dict()

    assert len(loaded) == len(stored)
    for key, value in stored.items():
        assert torch.equal(loaded[lama_name(key, module.shape)], value), key


def test_a_loaded_network_is_ready_to_infer(make_lama: MakeLama) -> None:
    module = load_lama(_spec(make_lama()))

    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert torch.isfinite(module(torch.rand(1, 4, 32, 32))).all()


def test_half_precision_weights_are_loaded_as_float32(make_lama: MakeLama) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({k: v.half() for k, v in tensors.items() if v.is_floating_point()})

    module = load_lama(_edited(make_lama(), halve))

    assert {p.dtype for p in module.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "edit",
    [
        lambda tensors: tensors.pop("model.5.conv2.ffc.convg2g.fu.bn.running_var"),
        lambda tensors: tensors.pop("model.1.ffc.convl2l.weight"),
        lambda tensors: tensors.update({"model.1.extra": torch.zeros(1)}),
        lambda tensors: tensors.update({"model.99.weight": torch.zeros(1)}),
        lambda tensors: tensors.update({"discriminator.weight": torch.zeros(1)}),
        lambda tensors: tensors.update({"model.5.conv1.ffc.convl2l.weight": torch.zeros(1, 8)}),
        lambda tensors: tensors.update({"model.1.ffc.convl2l.weight": torch.tensor(1.0)}),
        lambda tensors: tensors.update({"model.5.conv1.ffc.convg2g.lfu.x": torch.zeros(1)}),
        lambda tensors: (tensors.clear(), tensors.update(weight=torch.zeros(2))),
    ],
)
def test_a_key_too_many_too_few_or_of_the_wrong_size_is_refused(
    make_lama: MakeLama, edit: Callable[[dict[str, torch.Tensor]], object]
) -> None:
    spec = _edited(make_lama(), edit)

    with pytest.raises(ModelUnusable, match="holds no LaMa generator that fits"):
        load_lama(spec)


def test_a_file_that_changed_since_it_was_resolved_is_refused(make_lama: MakeLama) -> None:
    spec = _spec(make_lama(seed=0))
    make_lama(seed=1)

    with pytest.raises(ModelUnusable, match="was expected"):
        load_lama(spec)


def test_a_file_that_vanished_is_refused(make_lama: MakeLama) -> None:
    path = make_lama()
    spec = _spec(path)
    path.unlink()

    with pytest.raises(ModelUnusable, match="can't be read"):
        load_lama(spec)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\xff" * 64])
def test_a_file_that_only_has_the_right_name_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)

    with pytest.raises(ModelUnusable, match=r"not a valid \.safetensors file"):
        load_lama(_spec(path))


def test_another_format_is_refused_even_when_it_is_pinned(make_lama: MakeLama) -> None:
    spec = _spec(make_lama())
    assert spec.path is not None

    with pytest.raises(ModelUnusable, match="not a format"):
        load_lama(dataclasses.replace(spec, path=spec.path.with_suffix(".onnx")))


@pytest.mark.parametrize(
    "file", ["generator.safetensors", "models/best.ckpt", "models/best_pl.ckpt", "big-lama.pt", ""]
)
def test_every_format_reproduces_the_original_implementation(samples: Path, file: str) -> None:
    """In fp32 within 1e-4; the last one is the original folder itself."""
    folder = samples / "lama-tiny"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    reference = np.load(folder / "ref_64x64.npz")
    image, mask = (torch.from_numpy(reference[name]) for name in ("image", "mask"))

    module = load_lama(resolve(str(folder / file), folder))
    found = module(torch.cat([image * (1 - mask), mask], dim=1)).numpy()

    worst = np.abs(found - reference["predicted"]).max()
    assert worst < 1e-4, f"largest difference {worst}"


def test_a_file_larger_than_any_lama_is_refused_before_it_is_read(
    make_lama: MakeLama, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = _spec(make_lama())
    monkeypatch.setattr(weightfile, "MAX_WEIGHTS_BYTES", 1000)

    with pytest.raises(ModelUnusable, match="larger than"):
        load_lama(spec)


def test_integers_or_complex_numbers_in_place_of_weights_are_refused(make_lama: MakeLama) -> None:
    def alter(tensors: dict[str, torch.Tensor]) -> None:
        key = "model.1.ffc.convl2l.weight"
        tensors[key] = tensors[key].to(torch.int32)

    with pytest.raises(ModelUnusable, match="holds no LaMa generator that fits"):
        load_lama(_edited(make_lama(), alter))
