"""Checkpoints of trainings load, whatever lies beside the weights; none of it is run."""

from __future__ import annotations

import io
import os
import pickle
import sys
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from helpers.hostile_models import Payload
from retouchd.errors import ModelUnusable
from retouchd.manifest import ModelSpec, resolve
from retouchd.weights import load_lama

MakeLama = Callable[..., Path]
Save = Callable[..., ModelSpec]


@pytest.fixture
def generator(make_lama: MakeLama) -> dict[str, torch.Tensor]:
    return load_file(make_lama())


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write anything as a checkpoint."""

    def write(content: object, name: str = "best.ckpt", **options: Any) -> ModelSpec:
        torch.save(content, tmp_path / name, **options)
        return resolve(str(tmp_path / name), tmp_path)

    return write


def _lightning(generator: dict[str, torch.Tensor], **beside: object) -> dict[str, object]:
    state = OrderedDict({f"generator.{key}": value for key, value in generator.items()})
    state["discriminator.model0.0.weight"] = torch.zeros(2, 2)
    state["loss_resnet_pl.impl.conv1.weight"] = torch.zeros(2)
    state["val_evaluator.scores.fid.weight"] = torch.zeros(2)
    return {"epoch": 3, "state_dict": state, **beside}


def _check_equal(spec: ModelSpec, generator: dict[str, torch.Tensor], make_lama: MakeLama) -> None:
    wanted = load_lama(resolve(str(make_lama("wanted")), make_lama("wanted").parent)).state_dict()
    found = load_lama(spec).state_dict()
    assert found.keys() == wanted.keys()
    assert len(found) == len(generator)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_the_generator_is_picked_out_of_a_training_s_checkpoint(
    generator: dict[str, torch.Tensor], save: Save, make_lama: MakeLama
) -> None:
    _check_equal(save(_lightning(generator)), generator, make_lama)


@pytest.mark.parametrize("key", ["state_dict", "gen_state_dict", None])
def test_a_generator_alone_needs_no_prefix(
    generator: dict[str, torch.Tensor], save: Save, make_lama: MakeLama, key: str | None
) -> None:
    _check_equal(save({key: generator} if key else generator, "x.pth"), generator, make_lama)


def test_an_averaged_generator_beside_it_is_ignored(
    generator: dict[str, torch.Tensor], save: Save, make_lama: MakeLama
) -> None:
    content: dict[str, Any] = _lightning(generator)
    for key, value in generator.items():
        content["state_dict"][f"generator_average.{key}"] = value + 1

    _check_equal(save(content), generator, make_lama)


@pytest.fixture
def lightning() -> Iterator[type]:
    """A class of pytorch_lightning, importable only while the checkpoint is written."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    modules = [ModuleType(part) for part in ("pytorch_lightning", name.rpartition(".")[0], name)]
    kind = type("ModelCheckpoint", (), {"__module__": name})
    modules[-1].ModelCheckpoint = kind  # type: ignore[attr-defined]
    sys.modules.update({module.__name__: module for module in modules})
    yield kind
    for module in modules:
        sys.modules.pop(module.__name__, None)


def test_a_class_of_the_training_s_framework_is_neither_needed_nor_imported(
    generator: dict[str, torch.Tensor], save: Save, make_lama: MakeLama, lightning: type
) -> None:
    callbacks = {lightning: {"best_model_score": torch.tensor(1.0), "object": lightning()}}
    options: dict[str, float] = defaultdict(float, {"lr": 0.1})
    spec = save(_lightning(generator, callbacks=callbacks, hyper_parameters=options))
    for module in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        del sys.modules[module]

    _check_equal(spec, generator, make_lama)

    assert not any(name.startswith("pytorch_lightning") for name in sys.modules)


@pytest.mark.parametrize("call", [os.system, eval, exec, Path.touch, os.mkdir])
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(
    generator: dict[str, torch.Tensor], save: Save, tmp_path: Path, call: Callable[..., object]
) -> None:
    trace = tmp_path / "trace"
    python = f"__import__('os').mkdir({str(trace)!r})"
    words = {os.system: f"mkdir {trace}", eval: python, exec: python}.get(call, trace)
    payload = Payload(call, words)
    pickle.loads(pickle.dumps(payload, protocol=2))
    assert trace.exists(), "the payload must work elsewhere, or the test shows nothing"
    trace.unlink() if trace.is_file() else trace.rmdir()

    spec = save(_lightning(generator, callbacks=payload))

    with pytest.raises(ModelUnusable, match="none of it was run"):
        load_lama(spec)
    assert not trace.exists()


def test_what_could_run_code_is_named(generator: dict[str, torch.Tensor], save: Save) -> None:
    spec = save(_lightning(generator, callbacks=Payload(os.system, "true")))

    with pytest.raises(ModelUnusable, match=r"asks for posix\.system") as caught:
        load_lama(spec)
    assert ".safetensors" in caught.value.advice


def _repacked(content: bytes, edit: Callable[[str, bytes], bytes], method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, edit(name, old.read(name)))
    return out.getvalue()


def _alter(spec: ModelSpec, content: bytes) -> ModelSpec:
    assert spec.path is not None
    spec.path.write_bytes(content)
    return resolve(str(spec.path), spec.path.parent)


def test_a_decompression_bomb_is_refused(generator: dict[str, torch.Tensor], save: Save) -> None:
    spec = save(_lightning(generator))
    assert spec.path is not None
    packed = _repacked(spec.path.read_bytes(), lambda _, data: data, zipfile.ZIP_DEFLATED)

    with pytest.raises(ModelUnusable, match="bomb"):
        load_lama(_alter(spec, packed))


def test_a_view_that_claims_more_than_the_file_holds_is_refused(
    generator: dict[str, torch.Tensor], save: Save
) -> None:
    generator["model.1.ffc.convl2l.weight"] = torch.zeros(1).expand(1 << 40)

    with pytest.raises(ModelUnusable, match="larger than the file"):
        load_lama(save(generator))


def test_a_flipped_bit_is_noticed_even_without_a_pin(
    generator: dict[str, torch.Tensor], save: Save
) -> None:
    spec = save(_lightning(generator))
    assert spec.path is not None
    content = bytearray(spec.path.read_bytes())
    content[len(content) // 2] ^= 1

    with pytest.raises(ModelUnusable, match="damaged"):
        load_lama(_alter(spec, bytes(content)))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_refused(
    generator: dict[str, torch.Tensor], save: Save, share: float
) -> None:
    spec = save(_lightning(generator))
    assert spec.path is not None
    content = spec.path.read_bytes()

    with pytest.raises(ModelUnusable, match="can't be loaded"):
        load_lama(_alter(spec, content[: int(share * len(content))]))


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 junk", b"\x80\x02}q\x00.", b"version https://git"]
)
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "best.ckpt").write_bytes(content)

    with pytest.raises(ModelUnusable, match="can't be loaded"):
        load_lama(resolve(str(tmp_path / "best.ckpt"), tmp_path))


def test_a_file_swapped_after_it_was_pinned_is_refused(
    generator: dict[str, torch.Tensor], save: Save
) -> None:
    spec = save(_lightning(generator))
    save(_lightning({key: value + 1 for key, value in generator.items()}))

    with pytest.raises(ModelUnusable, match="was expected"):
        load_lama(spec)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"generator.model.1.weight": torch.zeros(1)}},
        {"state_dict": {}},
        {"state_dict": {3: torch.zeros(1), "generator.model.1.ffc.convl2l.weight": "text"}},
        {"epoch": 1},
    ],
)
def test_another_network_is_refused(save: Save, content: object) -> None:
    with pytest.raises(ModelUnusable, match="holds no LaMa generator that fits"):
        load_lama(save(content))


@pytest.mark.parametrize("content", [[1, 2], 3, torch.zeros(3)])
def test_what_is_no_state_dict_is_refused(save: Save, content: object) -> None:
    with pytest.raises(ModelUnusable, match="not a state dict"):
        load_lama(save(content))


def test_a_key_too_many_in_the_generator_is_refused(
    generator: dict[str, torch.Tensor], save: Save
) -> None:
    spec = save(_lightning({**generator, "model.1.extra": torch.zeros(1)}))

    with pytest.raises(ModelUnusable, match="holds no LaMa generator that fits"):
        load_lama(spec)


def test_the_format_of_torch_before_1_6_is_refused_with_a_way_out(
    generator: dict[str, torch.Tensor], save: Save
) -> None:
    spec = save(_lightning(generator), _use_new_zipfile_serialization=False)

    with pytest.raises(ModelUnusable, match=r"no archive of torch 1\.6") as caught:
        load_lama(spec)
    assert ".safetensors" in caught.value.advice
