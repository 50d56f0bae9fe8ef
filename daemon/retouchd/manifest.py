"""Which models there are: the built-in manifest, the administrator's own, and plain files.

Listing and verifying models needs no torch; ``weights`` loads what is described here.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from retouchd.entry import LARGEST, Architecture, Entry, Task, task_of
from retouchd.errors import ModelUnusable
from retouchd.fit import Fit
from retouchd.onnx_contract import OnnxContract
from retouchd.resources import resource
from retouchd.weightfile import architecture_of, opened, sha256_of, unreadable, weights_in

__all__ = ["LARGEST", "Architecture", "Entry", "ModelSpec", "Task", "task_of"]

FORMATS = (".safetensors", ".ckpt", ".pt", ".pth")
_FORMATS_OF: Mapping[Architecture, tuple[str, ...]] = {
    "lama": FORMATS,
    "cvunet": (".safetensors",),
    "onnx": (".onnx",),
}
_LIKELY_WEIGHTS = (*FORMATS, ".bin", ".onnx", ".jit")
_SAME = {"licence", "source", "contract", "notes", "largest", "second_opinion"}
Digest = Callable[[Path], str]
_ALGORITHM = 2  # raise it when one without weights works differently: old results are then stale


@dataclass(frozen=True)
class ModelSpec:
    """One model, as far as it can be known without loading it.

    name: as the configuration calls it: a name from a manifest, or the path that was given.
    path: its weights; None for an architecture without any.
    sha256: of the weights file, or of the algorithm's name and revision where there is none.
    licence: SPDX identifier where there is one. source: URL that it came from.
    contract: what goes in and comes out. notes: anything a person should know.
    largest: the largest side in pixels that it is shown at once.
    fit: the geometry of a matting network's pictures. onnx: the rest of what an ONNX one expects.
    second_opinion: a plain backdrop may know better than this network.
    """

    name: str
    architecture: Architecture
    path: Path | None
    sha256: str
    licence: str = ""
    source: str = ""
    contract: str = ""
    notes: str = ""
    largest: int = LARGEST
    fit: Fit | None = None
    onnx: OnnxContract | None = None
    second_opinion: bool = False

    @property
    def task(self) -> Task:
        """What it is for."""
        return task_of(self.architecture)

    @property
    def identity(self) -> str:
        """A sha256 that changes with its results: of the weights, and of how they are used."""
        if self.fit is None and self.onnx is None:
            return self.sha256
        used = f"{self.sha256} {self.fit} {self.onnx}{' 2nd' if self.second_opinion else ''}"
        return hashlib.sha256(used.encode()).hexdigest()


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[str, Entry] | None = None


def available(models_folder: Path) -> dict[str, ModelSpec]:
    """Name → model that a lane can use, of the built-in manifest and of the folder's own.

    Files are relative to ``models_folder``. Raises ModelUnusable when a manifest can't be read.
    """
    known = entries(models_folder).items()
    return {name: _spec(name, entry, models_folder) for name, entry in known if entry.usable}


def entries(models_folder: Path) -> dict[str, Entry]:
    """Name → entry. ``models_folder/manifest.yaml`` wins over the built-in and need not exist.

    Raises ModelUnusable when a manifest can't be read.
    """
    found = builtin_entries()
    own = models_folder / "manifest.yaml"
    if own.exists():
        found.update(read_manifest(own))
    return found


def builtin_entries() -> dict[str, Entry]:
    """Name → entry of the models that come with retouchd, their weights beside the manifest, and of
    those that it knows where to fetch."""
    manifest = resource("manifest.yaml")
    found = read_manifest(manifest).items()
    return {name: entry.beside(manifest) for name, entry in found}


def resolve(name_or_path: str, models_folder: Path, digest: Digest = sha256_of) -> ModelSpec:
    """The model that a configuration names, by manifest name or by path of a weights file.

    A path may be absolute, or relative to the working directory or to ``models_folder``; it needs
    no manifest entry and its sha256 is taken now, with ``digest``. The path of a folder as the
    authors of LaMa hand it out, with models/best.ckpt, means that file. Raises ModelUnusable.
    """
    known = entries(models_folder)
    if name_or_path in known:
        if not known[name_or_path].usable:
            raise _not_installed(name_or_path)
        spec = _spec(name_or_path, known[name_or_path], models_folder)
        check_format(spec)
        return spec
    if "/" in name_or_path or Path(name_or_path).suffix.lower() in _LIKELY_WEIGHTS:
        return _from_file(name_or_path, models_folder, digest)
    close = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ModelUnusable(
        model=name_or_path,
        cause="there is no such model",
        fix=f"{hint}The models are {', '.join(known)}; or give the path of a weights file.",
    )


def task_named(name_or_path: str, models_folder: Path) -> Task:
    """What a model is for, as far as that can be told at a glance; what there is not at all is left
    to ``resolve``."""
    known = entries(models_folder)
    if name_or_path in known:
        return task_of(known[name_or_path].architecture)
    if name_or_path.lower().endswith(".onnx"):
        return "matte"
    path = _place(name_or_path, models_folder)
    readable = path.is_file() and os.access(path, os.R_OK)
    return task_of(architecture_of(path)) if readable else "inpaint"


def _not_installed(name: str) -> ModelUnusable:
    return ModelUnusable(
        model=name,
        cause="it is known, but not installed yet",
        fix=f"Install it with `retouchd models add {name}` (with the same --root or --config); "
        "without a network, fetch the file elsewhere and name it at the end of that command.",
    )


def verify(spec: ModelSpec) -> None:
    """Check that a model's weights are there and are the ones meant; raises ModelUnusable."""
    if spec.path is None:
        return
    check_format(spec)
    try:
        found = sha256_of(spec.path)
    except OSError as error:
        raise unreadable(spec.name, spec.path, error) from None
    check_sha256(spec, found)


def check_sha256(spec: ModelSpec, found: str) -> None:
    """Raise ModelUnusable unless ``found`` is the sha256 that the model is pinned to."""
    if found != spec.sha256:
        raise ModelUnusable(
            model=spec.name,
            cause=f"{spec.path} has the sha256 {found}, but {spec.sha256} was expected",
            fix=f"Fetch the file again from {spec.source or 'its source'}; if the new file is "
            "meant, write its sha256 into manifest.yaml.",
        )


def check_format(spec: ModelSpec) -> None:
    """Raise ModelUnusable for weights in a file format that can't be loaded."""
    formats = _FORMATS_OF.get(spec.architecture, ())
    if spec.path is None or spec.path.suffix.lower() in formats:
        return
    raise ModelUnusable(
        model=spec.name,
        cause=f"{spec.path.suffix or 'a file without a suffix'} is not a format that "
        f"retouchd loads as {spec.architecture}; it loads {', '.join(formats)}",
        fix="Give the original checkpoint (.ckpt), its TorchScript form (.pt), or the "
        "generator's state dict (keys model.1… to model.N…) saved with "
        "safetensors.torch.save_file."
        if spec.architecture == "lama"
        else "Check the entry's file and architecture in manifest.yaml.",
    )


def _place(given: str, models_folder: Path) -> Path:
    """Where the file lies that a path means, if it is anywhere."""
    places = [weights_in(place) for place in (Path(given).expanduser(), models_folder / given)]
    return next((place.absolute() for place in places if place.is_file()), places[0].absolute())


def _from_file(given: str, models_folder: Path, digest: Digest) -> ModelSpec:
    path = _place(given, models_folder)
    if path.suffix.lower() == ".onnx":
        raise ModelUnusable(
            model=given,
            cause="an ONNX file does not say which pictures it expects, so it needs an entry",
            fix=f"Add it with `retouchd models add NAME {given}`, and use that name.",
        )
    check_format(ModelSpec(given, "lama", path, ""))
    try:
        architecture = architecture_of(path)
        sha256 = digest(path)
    except OSError as error:
        raise unreadable(given, path, error) from None
    entry = Entry(architecture=architecture, file=str(path), sha256=sha256)
    return replace(_spec(given, entry, models_folder), notes="a file that no manifest describes")


def _spec(name: str, entry: Entry, models_folder: Path) -> ModelSpec:
    revision = f"retouchd {entry.architecture} {_ALGORITHM}"
    digest = entry.sha256 or hashlib.sha256(revision.encode()).hexdigest()
    return ModelSpec(
        name=name,
        architecture=entry.architecture,
        path=weights_in(models_folder / entry.file) if entry.file else None,
        sha256=digest.lower(),
        **entry.model_dump(include=_SAME),
        fit=entry.fit,
        onnx=entry.onnx,
    )


def read_manifest(path: Path) -> dict[str, Entry]:
    """Name → entry of one manifest; raises ModelUnusable."""
    try:
        with opened(path) as file:
            return parse_manifest(file.read().decode("utf-8"), path)
    except OSError as error:
        raise unreadable("manifest.yaml", path, error) from None
    except UnicodeDecodeError as error:
        raise _not_yaml(path, error) from None


def parse_manifest(text: str, path: Path) -> dict[str, Entry]:
    """Name → entry of a manifest's text; raises ModelUnusable, which names ``path``."""
    try:
        return dict(_Manifest.model_validate(yaml.safe_load(text) or {}).models or {})
    except ValidationError as error:
        raise _wrong("manifest.yaml", f"{path}, {_first(error)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _not_yaml(path, error) from None


def parse_part(model: str, text: str) -> dict[str, Any]:
    """Keys and values of a part of an entry, such as its ``input``; raises ModelUnusable."""
    try:
        tree = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise _wrong(model, f"{text} is not of the form {{key: value, key: value}}")
    return {str(key): value for key, value in tree.items()}


def checked_entry(model: str, fields: Mapping[str, Any]) -> Entry:
    """An entry of these keys and values; raises ModelUnusable."""
    try:
        return Entry.model_validate(fields)
    except ValidationError as error:
        raise _wrong(model, _first(error)) from None


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}{': ' if where else ''}{detail['msg'].removeprefix('Value error, ')}"


def _not_yaml(path: Path, error: Exception) -> ModelUnusable:
    text = " ".join(str(error).split())
    return _wrong("manifest.yaml", f"{path} is not valid YAML ({text})")


def _wrong(model: str, cause: str) -> ModelUnusable:
    return ModelUnusable(
        model=model,
        cause=cause,
        fix=f"An entry has {', '.join(Entry.model_fields)}; an architecture is one of "
        f"{', '.join(get_args(Architecture))}.",
    )
