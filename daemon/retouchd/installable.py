"""What of a fetched file is installed: a LaMa as safetensors; a network for matting as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retouchd.entry import GEOMETRY, Architecture, Entry
from retouchd.errors import ModelUnusable
from retouchd.manifest import ModelSpec, checked_entry
from retouchd.weightfile import architecture_in

_LAMA = "RGB in [0, 1] with the hole set to 0, and the mask; sides padded to 8"
_SIZES = {"size", "short_side"}
_IMAGENET = "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]"


@dataclass(frozen=True)
class Description:
    """What is known of a file before it is looked into.

    architecture: None if its own name and content are to tell. input, output: as in a manifest.
    """

    architecture: Architecture | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Installable:
    """suffix: of the file that ``weights`` are to be in. deed: what was done to them, in a word.

    entry: what the manifest is to say of them; its ``file`` has yet to be named.
    """

    entry: Entry
    weights: bytes
    suffix: str
    deed: str


def like(name: str, other: str, known: Mapping[str, Entry]) -> Entry | None:
    """The entry of the model that this one is used as; raises ModelUnusable if it says nothing."""
    found = known.get(other)
    if other and (found is None or found.input is None):
        usable = ", ".join(name for name, entry in known.items() if entry.architecture == "onnx")
        raise ModelUnusable(
            model=name,
            cause=f"{other} is no known model that says how it is shown its photos",
            fix=f"Those that do are {usable}.",
        )
    return found


def described_by(
    entry: Entry | None, given_input: Mapping[str, Any], given_output: Mapping[str, Any]
) -> Description:
    """What an entry says, and before that what was given; a size comes with all its geometry."""
    if entry is None:
        return Description(None, given_input, given_output)
    kept = entry.input.model_dump(exclude_defaults=True) if entry.input else {}
    if _SIZES & given_input.keys():
        kept = {key: value for key, value in kept.items() if key not in GEOMETRY}
    output = entry.output.model_dump(exclude_defaults=True)
    return Description(entry.architecture, {**kept, **given_input}, {**output, **given_output})


def architecture_of(described: Description, path: Path, content: bytes = b"") -> Architecture:
    """As it is described; else by the file's name and its own metadata."""
    if described.architecture:
        return described.architecture
    return "onnx" if path.suffix.lower() == ".onnx" else architecture_in(content)


def installable(name: str, path: Path, content: bytes, described: Description) -> Installable:
    """Prove that a file works, and say what is to be installed; raises ModelUnusable."""
    architecture = architecture_of(described, path, content)
    if architecture == "onnx":
        return _onnx(name, content, described)
    if architecture == "cvunet":
        from retouchd.matting_weights import parse_cvunet

        parse_cvunet(name, path, content)
        weights, deed = content, "Installed"
    else:
        from retouchd.weights import to_safetensors

        weights, deed = to_safetensors(name, path, content), "Converted"
    contract = _LAMA if architecture == "lama" else ""
    fields = {**_parts(described), "contract": contract}
    return Installable(_entry(name, architecture, weights, fields), weights, ".safetensors", deed)


def _entry(
    name: str, architecture: Architecture, weights: bytes, fields: Mapping[str, Any]
) -> Entry:
    digest = hashlib.sha256(weights).hexdigest()
    plain = {"architecture": architecture, "file": "?", "sha256": digest, **fields}
    return checked_entry(name, {key: value for key, value in plain.items() if value})


def _parts(described: Description) -> dict[str, Any]:
    return {"input": dict(described.input), "output": dict(described.output)}


def _onnx(name: str, content: bytes, described: Description) -> Installable:
    from retouchd.onnx_painter import try_out

    if not _SIZES & described.input.keys():
        described = _completed(name, content, described)
    entry = _entry(name, "onnx", content, _parts(described))
    spec = ModelSpec(name, "onnx", None, entry.sha256 or "", fit=entry.fit, onnx=entry.onnx)
    try_out(spec, content)
    return Installable(entry, content, ".onnx", "Installed")


def _completed(name: str, content: bytes, described: Description) -> Description:
    """With what the graph alone tells; what it can't tell has to be said by somebody."""
    from retouchd.device import Place
    from retouchd.onnx_ports import guessed_input
    from retouchd.onnx_session import check_runtime, open_session, ports_of

    check_runtime(name)
    inputs, outputs = ports_of(open_session(name, content, Place()))
    guessed = {**guessed_input(inputs), **described.input}
    if described.input and "size" in guessed:
        return Description("onnx", guessed, described.output)
    takes, gives = (", ".join(map(str, ports)) for ports in (inputs, outputs))
    size = guessed.get("size", 1024)
    raise ModelUnusable(
        model=name,
        cause=f"an ONNX file does not say how a photo becomes its input ({takes}) and an output "
        f"({gives}) an alpha",
        fix="Say it: `--like u2net` if it is used as that known model is; or by the keys of a "
        f"manifest, such as --input '{{size: {size}, resize: squash, {_IMAGENET}}}' and "
        "--output '{activation: sigmoid}'.",
    )
