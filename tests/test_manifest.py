"""What models there are, and that their files are the ones meant."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retouchd.errors import ModelUnusable, StartError
from retouchd.fit import Fit
from retouchd.manifest import available, builtin_entries, entries, resolve, task_named, verify
from retouchd.regions import DEFAULTS
from retouchd.resources import resource
from retouchd.weightfile import architecture_of, sha256_of

_CONTENT = b"not really weights"
BUILT_IN = {"patchmatch", "classical", "flat", "trimap", "cvunet-compact"}
_DIGEST = hashlib.sha256(_CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.safetensors").write_bytes(_CONTENT)
    _write(tmp_path, f"own: {{architecture: lama, file: own.safetensors, sha256: {_DIGEST}}}")
    return tmp_path


def _write(folder: Path, *entries: str) -> None:
    lines = "".join(f"  {entry}\n" for entry in entries)
    (folder / "manifest.yaml").write_text(f"models:\n{lines}", encoding="utf-8")


def test_the_built_in_models_need_no_models_folder(tmp_path: Path) -> None:
    models = available(tmp_path / "missing")

    assert set(models) == BUILT_IN
    assert all(spec.licence and spec.notes for spec in models.values())
    assert {name for name, spec in models.items() if spec.path} == {"cvunet-compact"}


def test_models_without_weights_still_have_a_stable_identity_each(tmp_path: Path) -> None:
    first, second = available(tmp_path), available(tmp_path)

    assert first == second
    assert len({spec.sha256 for spec in first.values()}) == len(first)
    assert all(len(spec.sha256) == 64 for spec in first.values())


def test_the_folder_s_own_manifest_adds_models(folder: Path) -> None:
    spec = resolve("own", folder)

    assert (spec.name, spec.architecture, spec.sha256) == ("own", "lama", _DIGEST)
    assert spec.path == folder / "own.safetensors"
    assert set(available(folder)) == {*BUILT_IN, "own"}


def test_the_folder_s_own_manifest_wins_over_the_built_in_one(folder: Path) -> None:
    _write(folder, "classical: {architecture: flat, notes: mine}")

    assert resolve("classical", folder).notes == "mine"


@pytest.mark.parametrize("given", ["own.safetensors", "{folder}/own.safetensors"])
def test_a_path_needs_no_manifest(folder: Path, given: str) -> None:
    (folder / "manifest.yaml").unlink()

    spec = resolve(given.format(folder=folder), folder)

    assert spec.path == folder / "own.safetensors"
    assert spec.sha256 == _DIGEST == sha256_of(folder / "own.safetensors")
    assert spec.architecture == "lama"


def test_an_unknown_name_is_answered_with_the_nearest(folder: Path) -> None:
    with pytest.raises(ModelUnusable) as caught:
        resolve("clasical", folder)

    assert "Did you mean 'classical'?" in caught.value.advice


def test_a_path_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"gone\.safetensors can't be read"):
        resolve("gone.safetensors", folder)


@pytest.mark.parametrize("name", ["lama.jit", "pytorch_model.bin", "./folder/weights"])
def test_other_formats_are_refused_with_a_way_out(folder: Path, name: str) -> None:
    with pytest.raises(ModelUnusable, match="not a format") as caught:
        resolve(name, folder)

    assert "safetensors.torch.save_file" in caught.value.advice


def test_a_path_of_an_onnx_file_says_that_it_needs_an_entry(folder: Path) -> None:
    with pytest.raises(ModelUnusable, match="needs an entry") as caught:
        resolve("u2net.onnx", folder)

    assert "`retouchd models add NAME u2net.onnx`" in caught.value.advice


def test_a_path_of_a_matting_network_is_known_by_its_metadata(folder: Path) -> None:
    header = b'{"__metadata__": {"architecture": "cvunet"}}'
    (folder / "own.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)

    spec = resolve("./own.safetensors", folder)

    assert (spec.architecture, spec.task) == ("cvunet", "matte")
    assert spec.fit == Fit(size=512, resize="pad")


def test_an_untouched_file_passes_verification(folder: Path) -> None:
    verify(resolve("own", folder))
    verify(resolve("classical", folder))


def test_a_changed_file_fails_verification(folder: Path) -> None:
    (folder / "own.safetensors").write_bytes(_CONTENT + b"!")

    with pytest.raises(ModelUnusable, match=f"{_DIGEST} was expected"):
        verify(resolve("own", folder))


def test_a_missing_file_fails_verification(folder: Path) -> None:
    (folder / "own.safetensors").unlink()

    with pytest.raises(ModelUnusable, match="can't be read"):
        verify(resolve("own", folder))


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("x: {architecture: lama, file: x.safetensors}", "file and sha256 are both needed"),
        ("x: {architecture: lama, file: x.safetensors, sha256: abc}", "models.x.sha256"),
        ("x: {architecture: flat, file: x.safetensors}", "has no weights"),
        ("x: {architecture: flat, url: 'https://x'}", "has no weights"),
        ("x: {architecture: lama, file: x.ckpt, url: 'https://x'}", "file excludes url"),
        ("x: {architecture: lama, url: 'https://x', md5: 12}", "models.x.md5"),
        ("x: {architecture: magic}", "models.x.architecture"),
        ("x: {architecture: flat, licens: MIT}", "models.x.licens"),
        ("x: {architecture: flat, largest: 100}", "models.x.largest"),
        ("x: {architecture: flat, largest: 2048}", "models.x.largest"),
        ("x: [", "not valid YAML"),
    ],
)
def test_a_wrong_manifest_says_where_it_is_wrong(folder: Path, entry: str, complaint: str) -> None:
    _write(folder, entry)

    with pytest.raises(ModelUnusable, match=r"manifest\.yaml") as caught:
        available(folder)

    assert complaint in caught.value.message


def test_an_empty_manifest_adds_nothing(folder: Path) -> None:
    (folder / "manifest.yaml").write_text("")

    assert set(available(folder)) == BUILT_IN


def test_a_model_for_small_crops_says_so_and_others_get_the_largest(folder: Path) -> None:
    weights = f"architecture: lama, file: own.safetensors, sha256: {_DIGEST}"
    _write(folder, f"own: {{{weights}, largest: 512}}")

    assert resolve("own", folder).largest == 512
    assert resolve("classical", folder).largest == DEFAULTS.largest


def test_an_upper_case_sha256_is_the_same(folder: Path) -> None:
    _write(folder, f"own: {{architecture: lama, file: own.safetensors, sha256: {_DIGEST.upper()}}}")

    verify(resolve("own", folder))


def test_listing_and_verifying_imports_no_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from retouchd.manifest import resolve, verify;"
        f"verify(resolve('own', Path({str(folder)!r}))); print('torch' in sys.modules)"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "False"


def test_a_missing_data_file_is_reported_by_name() -> None:
    assert resource("manifest.yaml").is_file()
    with pytest.raises(StartError, match=r"nothing\.yaml is missing"):
        resource("nothing.yaml")


@pytest.mark.parametrize("name", ["big-lama", "anime-manga-big-lama"])
def test_a_well_known_model_is_offered_but_not_usable_before_it_is_added(
    tmp_path: Path, name: str
) -> None:
    offer = entries(tmp_path)[name]

    assert not offer.usable
    assert all([offer.licence, offer.source, offer.md5])
    assert str(offer.url).startswith("https://")
    assert name not in available(tmp_path)
    with pytest.raises(ModelUnusable, match="not installed yet") as caught:
        resolve(name, tmp_path)
    assert f"`retouchd models add {name}`" in caught.value.advice


def test_how_a_network_is_used_is_part_of_its_identity(tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").write_bytes(_CONTENT)
    entry = f"architecture: cvunet, file: own.safetensors, sha256: {_DIGEST}"
    ways = ("", ", second_opinion: true", ", input: {size: 256}")
    _write(tmp_path, *(f"m{n}: {{{entry}{way}}}" for n, way in enumerate(ways)))

    specs = [resolve(f"m{n}", tmp_path) for n in range(3)]

    assert [spec.second_opinion for spec in specs] == [False, True, False]
    assert len({spec.identity for spec in specs}) == 3


def test_an_installed_model_takes_the_place_of_the_offer(folder: Path) -> None:
    entry = f"big-lama: {{architecture: lama, file: own.safetensors, sha256: {_DIGEST}}}"
    _write(folder, entry)

    assert resolve("big-lama", folder).path == folder / "own.safetensors"
    assert not builtin_entries()["big-lama"].usable


def test_the_original_folder_stands_for_the_checkpoint_in_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "places/models/best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(_CONTENT)
    _write(tmp_path, f"places: {{architecture: lama, file: places, sha256: {_DIGEST}}}")

    assert resolve(f"{tmp_path}/places", tmp_path).path == checkpoint
    assert resolve("places", tmp_path).path == checkpoint
    verify(resolve("places", tmp_path))


def test_what_a_file_is_for_is_told_by_its_content(tmp_path: Path) -> None:
    """``--model FILE`` is for the lanes of that task."""
    head = b'{"__metadata__":{"architecture":"cvunet"}}'
    (tmp_path / "cut.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    (tmp_path / "paint.safetensors").write_bytes(b"anything else")

    assert task_named(str(tmp_path / "cut.safetensors"), tmp_path) == "matte"
    assert task_named("cut.safetensors", tmp_path) == "matte"
    assert task_named("paint.safetensors", tmp_path) == "inpaint"
    assert task_named("gone.safetensors", tmp_path) == "inpaint"
    assert task_named("other.onnx", tmp_path) == "matte"
    assert task_named("trimap", tmp_path) == "matte"
    assert task_named("classical", tmp_path) == "inpaint"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused_and_not_waited_for(folder: Path, kind: str) -> None:
    path = folder / "special.safetensors"
    {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": lambda: (path / "models" / "best.ckpt").mkdir(parents=True),
    }[kind]()
    with pytest.raises(ModelUnusable, match=r"not a (file|format)"):
        resolve(str(path), folder)
    (folder / "manifest.yaml").unlink(missing_ok=True)
    os.mkfifo(folder / "manifest.yaml")
    with pytest.raises(ModelUnusable, match="not a file"):
        available(folder)


def test_a_header_that_is_nested_without_end_tells_no_architecture(folder: Path) -> None:
    header = b'{"__metadata__":' + b"[" * 100_000
    path = folder / "nested.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert architecture_of(path) == "lama"
