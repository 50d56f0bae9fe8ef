"""Which models there are: the built-in manifest, the administrator's own, and plain files.

Listing and verifying models needs no torch; ``weights`` loads what is described here.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from retouchd.errors import ModelUnusable
from retouchd.resources import resource

Architecture = Literal["lama", "classical", "flat"]

WEIGHTLESS: tuple[Architecture, ...] = ("classical", "flat")
FORMATS = (".safetensors",)
_LIKELY_WEIGHTS = (*FORMATS, ".pt", ".pth", ".ckpt", ".bin", ".onnx", ".jit")
_ALGORITHM = 1  # raise it when classical or flat paint differently, so that old results are stale


@dataclass(frozen=True)
class ModelSpec:
    """One model, as far as it can be known without loading it.

    name: as the configuration calls it: a name from a manifest, or the path that was given.
    path: its weights; None for an architecture without any.
    sha256: of the weights file, or of the algorithm's name and revision where there is none.
    licence: SPDX identifier where there is one. source: URL that it came from.
    contract: what goes in and comes out. notes: anything a person should know.
    """

    name: str
    architecture: Architecture
    path: Path | None
    sha256: str
    licence: str = ""
    source: str = ""
    contract: str = ""
    notes: str = ""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Architecture
    file: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    licence: str = ""
    source: str = ""
    contract: str = ""
    notes: str = ""

    @model_validator(mode="after")
    def _weights_are_pinned(self) -> _Entry:
        if self.architecture in WEIGHTLESS and (self.file or self.sha256):
            raise ValueError(f"{self.architecture} has no weights; remove file and sha256")
        if self.architecture not in WEIGHTLESS and not (self.file and self.sha256):
            raise ValueError("file and sha256 are both needed")
        return self


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[str, _Entry] = {}


def available(models_folder: Path) -> dict[str, ModelSpec]:
    """Name → model, of the built-in manifest and of ``models_folder/manifest.yaml``.

    Files are relative to ``models_folder``. The folder's own manifest wins over the built-in one
    and need not exist. Raises ModelUnusable when a manifest can't be read.
    """
    own = models_folder / "manifest.yaml"
    entries = dict(_read(resource("manifest.yaml")).models)
    if own.exists():
        entries.update(_read(own).models)
    return {name: _spec(name, entry, models_folder) for name, entry in entries.items()}


def resolve(name_or_path: str, models_folder: Path) -> ModelSpec:
    """The model that a configuration names, by manifest name or by path of a weights file.

    A path may be absolute, or relative to the working directory or to ``models_folder``; it needs
    no manifest entry and its sha256 is taken now. Raises ModelUnusable.
    """
    known = available(models_folder)
    if name_or_path in known:
        spec = known[name_or_path]
        check_format(spec)
        return spec
    if "/" in name_or_path or Path(name_or_path).suffix.lower() in _LIKELY_WEIGHTS:
        return _from_file(name_or_path, models_folder)
    close = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ModelUnusable(
        model=name_or_path,
        cause="no manifest knows that name",
        fix=f"{hint}The models are {', '.join(known)}; or give the path of a .safetensors file.",
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


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in lower-case hexadecimal; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    if spec.path is not None and spec.path.suffix.lower() not in FORMATS:
        raise ModelUnusable(
            model=spec.name,
            cause=f"{spec.path.suffix or 'a file without a suffix'} is not a format that "
            f"retouchd loads; it loads {', '.join(FORMATS)}",
            fix="Save the generator's state dict (keys model.1… to model.N…) with "
            "safetensors.torch.save_file and give that file.",
        )


def unreadable(model: str, path: Path, error: OSError) -> ModelUnusable:
    """The error for a file that can't be read."""
    return ModelUnusable(
        model=model,
        cause=f"{path} can't be read ({error.strerror or error})",
        fix="Check the path, and that the service's user may read it.",
    )


def _from_file(given: str, models_folder: Path) -> ModelSpec:
    places = (Path(given).expanduser(), models_folder / given)
    path = next((place.absolute() for place in places if place.is_file()), places[0].absolute())
    check_format(ModelSpec(given, "lama", path, ""))
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise unreadable(given, path, error) from None
    return ModelSpec(given, "lama", path, digest, notes="a file that no manifest describes")


def _spec(name: str, entry: _Entry, models_folder: Path) -> ModelSpec:
    revision = f"retouchd {entry.architecture} {_ALGORITHM}"
    digest = entry.sha256 or hashlib.sha256(revision.encode()).hexdigest()
    return ModelSpec(
        name=name,
        architecture=entry.architecture,
        path=models_folder / entry.file if entry.file else None,
        sha256=digest.lower(),
        licence=entry.licence,
        source=entry.source,
        contract=entry.contract,
        notes=entry.notes,
    )


def _read(path: Path) -> _Manifest:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _Manifest.model_validate(tree or {})
    except OSError as error:
        raise unreadable("manifest.yaml", path, error) from None
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(part) for part in detail["loc"])
        cause = f"{path}, {where}: {detail['msg'].removeprefix('Value error, ')}"
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        cause = f"{path} is not valid YAML ({' '.join(str(error).split())})"
    raise ModelUnusable(
        model="manifest.yaml",
        cause=cause,
        fix=f"An entry has {', '.join(_Entry.model_fields)}; an architecture is one of "
        f"{', '.join(get_args(Architecture))}.",
    )
