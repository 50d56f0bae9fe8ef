"""Which models there are: the built-in manifest, the administrator's own, and plain files.

Listing and verifying models needs no torch; ``weights`` loads what is described here.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from retouchd.errors import ModelUnusable
from retouchd.resources import resource

Architecture = Literal["lama", "classical", "flat"]

WEIGHTLESS: tuple[Architecture, ...] = ("classical", "flat")
FORMATS = (".safetensors", ".ckpt", ".pt", ".pth")
LARGEST = 1024  # px, where an entry says nothing else
MAX_WEIGHTS_BYTES = 2 << 30  # big-lama's checkpoint with its discriminator is a fifth of that
_LIKELY_WEIGHTS = (*FORMATS, ".bin", ".onnx", ".jit")
_ORIGINAL_FOLDER = Path("models/best.ckpt")  # how the authors of LaMa hand their weights out
_ALGORITHM = 1  # raise it when classical or flat paint differently, so that old results are stale


@dataclass(frozen=True)
class ModelSpec:
    """One model, as far as it can be known without loading it.

    name: as the configuration calls it: a name from a manifest, or the path that was given.
    path: its weights; None for an architecture without any.
    sha256: of the weights file, or of the algorithm's name and revision where there is none.
    licence: SPDX identifier where there is one. source: URL that it came from.
    contract: what goes in and comes out. notes: anything a person should know.
    largest: the largest side in pixels that it is shown at once.
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


class Entry(BaseModel):
    """One model of a manifest: built in, installed (``file``), or to be added from its ``url``.

    sha256, md5: hexadecimal, of ``file`` or of what ``url`` leads to. largest: see ModelSpec.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Architecture
    file: str | None = None
    url: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")] | None = None
    licence: str = ""
    source: str = ""
    contract: str = ""
    notes: str = ""
    largest: Annotated[int, Field(ge=256, le=LARGEST)] = LARGEST

    @model_validator(mode="after")
    def _weights_are_pinned(self) -> Entry:
        if self.architecture in WEIGHTLESS:
            if self.file or self.sha256 or self.url or self.md5:
                raise ValueError(
                    f"{self.architecture} has no weights; remove file, url, sha256 and md5"
                )
        elif self.file and (self.url or self.md5):
            raise ValueError("file excludes url and md5; where it came from is its source")
        elif not self.url and not (self.file and self.sha256):
            raise ValueError("file and sha256 are both needed, or a url to add it from")
        return self

    @property
    def usable(self) -> bool:
        """Whether a lane can use it as it stands."""
        return self.url is None


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
    """Name → entry of the models that come with retouchd or that it knows where to fetch."""
    return read_manifest(resource("manifest.yaml"))


def resolve(name_or_path: str, models_folder: Path) -> ModelSpec:
    """The model that a configuration names, by manifest name or by path of a weights file.

    A path may be absolute, or relative to the working directory or to ``models_folder``; it needs
    no manifest entry and its sha256 is taken now. The path of a folder as the authors of LaMa
    hand it out, with models/best.ckpt, means that file. Raises ModelUnusable.
    """
    known = entries(models_folder)
    if name_or_path in known:
        if not known[name_or_path].usable:
            raise _not_installed(name_or_path)
        spec = _spec(name_or_path, known[name_or_path], models_folder)
        check_format(spec)
        return spec
    if "/" in name_or_path or Path(name_or_path).suffix.lower() in _LIKELY_WEIGHTS:
        return _from_file(name_or_path, models_folder)
    close = difflib.get_close_matches(name_or_path, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise ModelUnusable(
        model=name_or_path,
        cause="no manifest knows that name",
        fix=f"{hint}The models are {', '.join(known)}; or give the path of a weights file.",
    )


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
            fix="Give the original checkpoint (.ckpt), its TorchScript form (.pt), or the "
            "generator's state dict (keys model.1… to model.N…) saved with "
            "safetensors.torch.save_file.",
        )


def open_weights(model: str, path: Path) -> BufferedReader:
    """A weights file, to be read; raises ModelUnusable, also for one that is absurdly large."""
    try:
        _check_size(model, path, path.stat().st_size)
        return path.open("rb")
    except OSError as error:
        raise unreadable(model, path, error) from None


def read_weights(model: str, path: Path) -> bytes:
    """The content of a weights file; raises ModelUnusable, as ``open_weights`` does."""
    with open_weights(model, path) as file:
        try:
            content = file.read(MAX_WEIGHTS_BYTES + 1)
        except OSError as error:
            raise unreadable(model, path, error) from None
    _check_size(model, path, len(content))  # a file may grow, and a device has no size
    return content


def _check_size(model: str, path: Path, size: int) -> None:
    if size > MAX_WEIGHTS_BYTES:
        raise ModelUnusable(
            model=model,
            cause=f"{path} is larger than {MAX_WEIGHTS_BYTES >> 20} MiB; no LaMa is",
            fix="Check that it is the file that you mean.",
        )


def weights_in(path: Path) -> Path:
    """The weights file that a path means: itself, or the checkpoint in the original folder."""
    return path / _ORIGINAL_FOLDER if path.is_dir() else path


def unreadable(model: str, path: Path, error: OSError) -> ModelUnusable:
    """The error for a file that can't be read."""
    return ModelUnusable(
        model=model,
        cause=f"{path} can't be read ({error.strerror or error})",
        fix="Check the path, and that the service's user may read it.",
    )


def _from_file(given: str, models_folder: Path) -> ModelSpec:
    places = [weights_in(place) for place in (Path(given).expanduser(), models_folder / given)]
    path = next((place.absolute() for place in places if place.is_file()), places[0].absolute())
    check_format(ModelSpec(given, "lama", path, ""))
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise unreadable(given, path, error) from None
    return ModelSpec(given, "lama", path, digest, notes="a file that no manifest describes")


def _spec(name: str, entry: Entry, models_folder: Path) -> ModelSpec:
    revision = f"retouchd {entry.architecture} {_ALGORITHM}"
    digest = entry.sha256 or hashlib.sha256(revision.encode()).hexdigest()
    return ModelSpec(
        name=name,
        architecture=entry.architecture,
        path=weights_in(models_folder / entry.file) if entry.file else None,
        sha256=digest.lower(),
        **entry.model_dump(include={"licence", "source", "contract", "notes", "largest"}),
    )


def read_manifest(path: Path) -> dict[str, Entry]:
    """Name → entry of one manifest; raises ModelUnusable."""
    try:
        return parse_manifest(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise unreadable("manifest.yaml", path, error) from None
    except UnicodeDecodeError as error:
        raise _not_yaml(path, error) from None


def parse_manifest(text: str, path: Path) -> dict[str, Entry]:
    """Name → entry of a manifest's text; raises ModelUnusable, which names ``path``."""
    try:
        return dict(_Manifest.model_validate(yaml.safe_load(text) or {}).models or {})
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(part) for part in detail["loc"])
        raise _wrong(path, f", {where}: {detail['msg'].removeprefix('Value error, ')}") from None
    except yaml.YAMLError as error:
        raise _not_yaml(path, error) from None


def _not_yaml(path: Path, error: Exception) -> ModelUnusable:
    return _wrong(path, f" is not valid YAML ({' '.join(str(error).split())})")


def _wrong(path: Path, cause: str) -> ModelUnusable:
    return ModelUnusable(
        model="manifest.yaml",
        cause=f"{path}{cause}",
        fix=f"An entry has {', '.join(Entry.model_fields)}; an architecture is one of "
        f"{', '.join(get_args(Architecture))}.",
    )
