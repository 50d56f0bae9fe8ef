"""`models add` of networks for matting: nothing is installed that has not seen a picture."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from retouchd import adding
from retouchd.adding import Wish, add
from retouchd.cli.app import app
from retouchd.config import for_root
from retouchd.doctor.models import judge_models
from retouchd.entry import Entry
from retouchd.errors import ModelUnusable
from retouchd.fit import Fit
from retouchd.manifest import builtin_entries, resolve, verify
from retouchd.matting_weights import cvunet_bytes
from retouchd.nets.cvunet import CvUNet, CvUNetShape
from retouchd.onnx_contract import OnnxContract

MakeOnnx = Callable[..., Path]

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state/models"


def quiet(here: int, total: int | None) -> None:
    """Tells nobody."""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def own(folder: Path) -> dict[str, Any]:
    tree = yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))
    models: dict[str, Any] = tree["models"]
    return models


def test_what_was_added_is_the_very_file_pinned_and_usable(
    make_onnx: MakeOnnx, folder: Path
) -> None:
    path = make_onnx(shape=(1, 3, 64, 64))
    given = {"size": 64, "resize": "squash", "mean": 0.5}

    spec = add(Wish("mine", str(path), licence="MIT", input=given), folder, quiet)

    assert spec == resolve("mine", folder)
    assert spec.path is not None
    assert spec.path.read_bytes() == path.read_bytes()
    assert spec.path.name == f"mine-{spec.sha256[:12]}.onnx"
    assert names(folder) == {"manifest.yaml", spec.path.name}
    assert spec.fit == Fit(size=64, resize="squash")
    assert spec.onnx == OnnxContract(mean=(0.5, 0.5, 0.5))
    assert "Installed by retouchd" in spec.notes
    assert spec.licence == "MIT"
    assert list(own(folder)["mine"]["input"]) == ["size", "resize", "mean"]
    verify(spec)


def test_a_file_that_is_used_as_a_known_model_is_needs_no_more_than_its_name(
    make_onnx: MakeOnnx, folder: Path
) -> None:
    path = make_onnx(shape=(1, 3, 320, 320))

    spec = add(Wish("mine", str(path), like="u2net"), folder, quiet)

    known = builtin_entries()["u2net"]
    assert (spec.fit, spec.onnx) == (known.fit, known.onnx)


def test_what_is_given_goes_before_what_the_known_model_says(
    make_onnx: MakeOnnx, folder: Path
) -> None:
    path = make_onnx(shape=(1, 3, 64, 64))
    wish = Wish("mine", str(path), like="modnet", input={"size": 64}, output={"stretch": True})

    spec = add(wish, folder, quiet)

    assert spec.fit == Fit(size=64, resize="pad")
    assert spec.onnx == OnnxContract(mean=(0.5,) * 3, std=(0.5,) * 3, stretch=True)


def test_a_fixed_size_and_the_layout_are_read_from_the_graph(
    make_onnx: MakeOnnx, folder: Path
) -> None:
    path = make_onnx(shape=(1, 96, 96, 3), layout="nhwc", gives="nhw1")

    spec = add(Wish("mine", str(path), input={"mean": 0.5}), folder, quiet)

    assert spec.fit == Fit(size=96, resize="pad")
    assert spec.onnx == OnnxContract(mean=(0.5,) * 3, layout="nhwc")


def test_an_offer_s_own_description_counts_also_for_a_file_that_was_fetched_by_hand(
    make_onnx: MakeOnnx, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_onnx(shape=(1, 3, 64, 64))
    known = Entry.model_validate(
        {
            "architecture": "onnx",
            "url": "https://x/y.bin",
            "md5": hashlib.md5(path.read_bytes()).hexdigest(),
            "source": "https://z",
            "notes": "As published.",
            "input": {"size": 64},
            "output": {"activation": "sigmoid"},
        }
    )
    monkeypatch.setattr(adding, "builtin_entries", lambda: {"known": known})

    spec = add(Wish("known", str(path)), folder, quiet)

    assert spec.onnx == OnnxContract(activation="sigmoid")
    assert spec.source == "https://z"
    assert spec.notes.startswith("As published. Installed by retouchd")


def test_force_takes_the_old_network_away(make_onnx: MakeOnnx, folder: Path) -> None:
    size = {"size": 64}
    add(Wish("mine", str(make_onnx("one")), input=size), folder, quiet)
    path = make_onnx("two", bias=0.1)

    second = add(Wish("mine", str(path), input=size, force=True), folder, quiet)

    assert second.path is not None
    assert names(folder) == {"manifest.yaml", second.path.name}


def test_the_same_file_under_two_names_may_be_used_in_two_ways(
    make_onnx: MakeOnnx, folder: Path
) -> None:
    path = str(make_onnx())
    plain = add(Wish("plain", path, input={"size": 64}), folder, quiet)
    other = add(Wish("other", path, input={"size": 64}, output={"stretch": True}), folder, quiet)

    assert plain.sha256 == other.sha256
    assert plain.identity != other.identity


@pytest.mark.parametrize(
    ("network", "wishes", "words", "advice"),
    [
        ({"shape": (1, 3, 64, 64)}, {}, "1×3×64×64", "--input '{size: 64, "),
        ({"shape": (1, 3, 64, 64)}, {}, "alpha (tensor(float)", "--like u2net"),
        ({}, {"input": {"mean": 0.5}}, "picture (tensor(float), ?×3×?×?)", "size: 1024"),
        ({}, {"like": "big-lama"}, "big-lama is no known model that says", "u2net"),
        ({}, {"like": "nothing"}, "nothing is no known model that says", "u2net"),
        ({}, {"input": {"size": "big"}}, "input.size", "An entry has"),
        ({}, {"input": {"size": 64}, "output": {"name": "y"}}, "no output 'y'", "alpha"),
        ({"shape": (1, 3, 64, 64)}, {"like": "u2net"}, "fixed to 64 pixels", "size: 64"),
        ({"bias": float("nan")}, {"input": {"size": 64}}, "not a number everywhere", "Check"),
        ({"weights": (1, 0)}, {"input": {"size": 64}}, "picture failed", "Check"),
        ({"shape": (2, 3, 64, 64)}, {"input": {"size": 64}}, "fixed to 2 pictures", "Export"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_work_is_not_installed_and_says_why(
    make_onnx: MakeOnnx,
    folder: Path,
    network: dict[str, Any],
    wishes: dict[str, Any],
    words: str,
    advice: str,
) -> None:
    with pytest.raises(ModelUnusable) as caught:
        add(Wish("mine", str(make_onnx(**network)), **wishes), folder, quiet)

    assert words in caught.value.message
    assert advice in caught.value.advice
    assert names(folder) == set()


def test_a_page_that_is_called_onnx_is_not_installed(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.onnx"
    path.write_text("<html>")

    with pytest.raises(ModelUnusable, match="not an ONNX file"):
        add(Wish("mine", str(path), like="u2net"), folder, quiet)
    assert names(folder) == set()


def test_without_onnxruntime_nothing_is_fetched(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even from an address that does not exist."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(ModelUnusable, match="onnxruntime can't be loaded") as caught:
        add(Wish("u2netp"), folder, quiet)

    assert "retouchd[onnx]" in caught.value.advice


def test_a_lama_has_no_input_to_describe(make_lama: Callable[..., Path], folder: Path) -> None:
    with pytest.raises(ModelUnusable, match="input is for onnx and cvunet"):
        add(Wish("mine", str(make_lama()), input={"size": 64}), folder, quiet)
    assert names(folder) == set()


def test_a_network_of_retouchd_s_own_training_is_known_by_its_metadata(
    folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "trained.safetensors"
    path.write_bytes(cvunet_bytes(CvUNet(CvUNetShape(width=0.35)).eval()))

    spec = add(Wish("own", str(path)), folder, quiet)

    assert (spec.architecture, spec.fit) == ("cvunet", Fit(size=512, resize="pad"))
    assert spec.path is not None
    assert spec.path.read_bytes() == path.read_bytes()


# --- the commands -------------------------------------------------------------------------------


def test_the_command_adds_and_verifies_a_network(make_onnx: MakeOnnx, tmp_path: Path) -> None:
    root = ["--root", str(tmp_path)]
    parts = ["--input", "{size: 64, mean: 0.5}", "--output", "{activation: sigmoid}"]

    added = CliRunner().invoke(app, ["models", "add", "mine", str(make_onnx()), *parts, *root])
    verified = CliRunner().invoke(app, ["models", "verify", "mine", *root])

    assert added.exit_code == 0, added.output
    assert verified.exit_code == 0, verified.output
    assert "mine: good" in verified.output
    spec = resolve("mine", tmp_path / ".retouchd/models")
    assert spec.onnx == OnnxContract(mean=(0.5,) * 3, activation="sigmoid")


@pytest.mark.parametrize("given", ["size", "[64]", "{size: "])
def test_options_that_are_no_keys_and_values_are_refused(
    make_onnx: MakeOnnx, tmp_path: Path, given: str
) -> None:
    command = ["models", "add", "mine", str(make_onnx()), "--input", given]

    done = CliRunner().invoke(app, [*command, "--root", str(tmp_path)])

    assert isinstance(done.exception, ModelUnusable)
    assert "is not of the form {key: value" in done.exception.message


def test_the_doctor_misses_onnxruntime(
    make_onnx: MakeOnnx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = for_root(tmp_path / "root", ["lanes.matte.model=mine"], state=tmp_path / "state")
    add(Wish("mine", str(make_onnx()), input={"size": 64}), config.models_folder, quiet)
    levels = {found.check: found.level for found in judge_models(config)}
    assert levels["model mine"] == "ok"

    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    (found,) = (found for found in judge_models(config) if found.check == "model mine")
    assert found.level == "problem"
    assert "retouchd[onnx]" in (found.remedy or "")
