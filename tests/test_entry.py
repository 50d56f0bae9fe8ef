"""What a manifest may say of a matting network, and what that means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from retouchd.entry import Entry, task_of
from retouchd.errors import ModelUnusable
from retouchd.fit import Fit
from retouchd.manifest import available, parse_manifest
from retouchd.onnx_contract import OnnxContract
from retouchd.own_manifest import with_entry

_PINNED = {"architecture": "onnx", "file": "x.onnx", "sha256": "a" * 64}


def onnx(**fields: Any) -> Entry:
    return Entry.model_validate({**_PINNED, "input": {"size": 320}, **fields})


def complaint(text: str) -> str:
    with pytest.raises(ModelUnusable) as caught:
        parse_manifest(f"models: {{x: {text}}}", Path("manifest.yaml"))
    return caught.value.message


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("lama", "inpaint"),
        ("classical", "inpaint"),
        ("flat", "inpaint"),
        ("cvunet", "matte"),
        ("onnx", "matte"),
        ("trimap", "matte"),
    ],
)
def test_an_architecture_is_for_one_task(architecture: Any, task: str) -> None:
    assert task_of(architecture) == task


def test_only_networks_for_matting_have_a_geometry() -> None:
    assert Entry(architecture="trimap").fit is None
    assert Entry(architecture="lama", file="x.pt", sha256="a" * 64).fit is None
    assert Entry(architecture="lama", file="x.pt", sha256="a" * 64).onnx is None


def test_a_cvunet_is_shown_padded_squares_of_512_unless_its_entry_says_otherwise() -> None:
    plain = {"architecture": "cvunet", "file": "x.safetensors", "sha256": "a" * 64}

    assert Entry.model_validate(plain).fit == Fit(size=512, resize="pad")
    other = Entry.model_validate({**plain, "input": {"short_side": 768, "multiple_of": 32}})
    assert other.fit == Fit(size=None, short_side=768, multiple_of=32, resize="fit")
    assert other.onnx is None


def test_the_least_that_an_onnx_network_needs_is_a_size() -> None:
    assert onnx().fit == Fit(size=320, resize="pad")
    assert onnx().onnx == OnnxContract()


def test_all_that_an_entry_may_say_arrives() -> None:
    entry = onnx(
        input={
            "name": "picture",
            "size": 1024,
            "multiple_of": 32,
            "resize": "squash",
            "scale": "max",
            "mean": 0.5,
            "std": [1, 2, 3],
            "layout": "nhwc",
        },
        output={"name": "alpha", "activation": "sigmoid", "stretch": True},
    )

    assert entry.fit == Fit(1024, None, 32, "squash")
    assert entry.onnx == OnnxContract(
        scale="max",
        mean=(0.5, 0.5, 0.5),
        std=(1, 2, 3),
        layout="nhwc",
        input_name="picture",
        output_name="alpha",
        activation="sigmoid",
        stretch=True,
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{}", "input: give either size or short_side"),
        ("{size: 320, short_side: 320}", "input: give either size or short_side"),
        ("{short_side: 512, resize: pad}", "short_side goes with resize: fit"),
        ("{size: 500, multiple_of: 32}", "500 is not a multiple of 32"),
        ("{size: 8}", "input.size"),
        ("{size: 320, resize: crop}", "input.resize"),
        ("{size: 320, scale: 0}", "what samples of 0 to 255 are multiplied with"),
        ("{size: 320, scale: yes}", "what samples of 0 to 255 are multiplied with"),
        ("{size: 320, scale: .inf}", "input.scale"),
        ("{size: 320, std: 0}", "above 0"),
        ("{size: 320, mean: [1, 2]}", "input.mean"),
        ("{size: 320, layout: hwc}", "input.layout"),
        ("{size: 320, width: 320}", "input.width"),
    ],
)
def test_a_wrong_input_is_named(given: str, words: str) -> None:
    pinned = f"architecture: onnx, file: x.onnx, sha256: {'a' * 64}"

    assert words in complaint(f"{{{pinned}, input: {given}}}")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("architecture: onnx, url: 'https://x'", "onnx needs an input"),
        ("architecture: trimap, file: x", "trimap has no weights"),
        ("architecture: lama, url: 'https://x', input: {size: 320}", "lama has its own"),
        ("architecture: lama, url: 'https://x', output: {stretch: true}", "lama has its own"),
        ("architecture: cvunet, url: 'https://x', input: {size: 320, mean: 0}", "input.mean"),
        ("architecture: cvunet, url: 'https://x', output: {stretch: true}", "cvunet has its own"),
    ],
)
def test_what_an_architecture_does_not_have_is_refused(entry: str, words: str) -> None:
    assert words in complaint(f"{{{entry}}}")


def test_a_contract_is_written_down_as_it_is_read(tmp_path: Path) -> None:
    entry = onnx(
        input={"short_side": 512, "multiple_of": 32, "mean": 0.5, "std": (0.5, 0.25, 1)},
        output={"activation": "sigmoid"},
    )

    text = with_entry("# mine\n", "x", entry, tmp_path)

    assert parse_manifest(text, tmp_path) == {"x": entry}
    assert yaml.safe_load(text)["models"]["x"]["input"]["std"] == [0.5, 0.25, 1]


def test_the_same_weights_used_otherwise_are_another_identity(tmp_path: Path) -> None:
    """A job is the same as an earlier one only if the network saw and gave the same."""
    pinned = f"architecture: onnx, file: x.onnx, sha256: {'a' * 64}"
    entries = [
        f"a: {{{pinned}, input: {{size: 320}}}}",
        f"b: {{{pinned}, input: {{size: 512}}}}",
        f"c: {{{pinned}, input: {{size: 320}}, output: {{stretch: true}}}}",
        f"same: {{{pinned}, input: {{size: 320}}, notes: other}}",
    ]
    (tmp_path / "manifest.yaml").write_text("models:\n" + "".join(f"  {e}\n" for e in entries))

    models = available(tmp_path)

    assert len({models[name].identity for name in "abc"}) == 3
    assert models["a"].identity == models["same"].identity
    assert models["classical"].identity == models["classical"].sha256


def test_what_lists_models_does_not_wait_for_numpy() -> None:
    code = "import sys, retouchd.cli.models; print('numpy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
