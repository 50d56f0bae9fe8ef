"""Weights files → modules: hashed as they are loaded, every key used and none missing.

A file is a safetensors file with the generator alone, a checkpoint of its training, or
TorchScript; no format may run code (see ``archives``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from retouchd.archives import is_archive, repack
from retouchd.checkpoints import checkpoint_tensors
from retouchd.errors import ModelUnusable
from retouchd.manifest import ModelSpec, check_format, check_sha256, read_weights
from retouchd.nets.lama import Lama, LamaShape
from retouchd.torchscript import torchscript_tensors

Tensors = Mapping[str, Tensor]

_STEM = "model.1.ffc.convl2l.weight"

# Inner names of the original implementation (github.com/advimman/lama) → ours.
_RENAMES = (
    (".ffc.convl2l.", ".l2l."),
    (".ffc.convl2g.", ".l2g."),
    (".ffc.convg2l.", ".g2l."),
    (".ffc.convg2g.conv1.0.", ".g2g.squeeze."),
    (".ffc.convg2g.conv1.1.", ".g2g.squeeze_norm."),
    (".ffc.convg2g.conv2.", ".g2g.expand."),
    (".ffc.convg2g.fu.conv_layer.", ".g2g.fourier.mix."),
    (".ffc.convg2g.fu.bn.", ".g2g.fourier.norm."),
    (".bn_l.", ".norm_l."),
    (".bn_g.", ".norm_g."),
)


def load_lama(spec: ModelSpec) -> Lama:
    """A LaMa generator on the CPU, in float32 and in evaluation mode; raises ModelUnusable.

    The sha256 is checked on the very bytes that are parsed.
    """
    check_format(spec)
    if spec.path is None:
        raise ModelUnusable(model=spec.name, cause="it has no weights file", fix="Give it one.")
    content = read_weights(spec.name, spec.path)
    check_sha256(spec, hashlib.sha256(content).hexdigest())
    return parse_lama(spec.name, spec.path, content)


def parse_lama(model: str, path: Path, content: bytes) -> Lama:
    """The generator that a file's content holds, on the CPU; raises ModelUnusable.

    model, path: what messages call it; the format is told by the content, but a file that is
    called .safetensors is never taken for anything else.
    """
    tensors = _generator_tensors(model, path, content)
    try:
        shape = lama_shape(tensors)
        return build_lama(shape, {lama_name(key, shape): tensors[key] for key in tensors})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _misfit(model, path, error) from None


def to_safetensors(model: str, path: Path, content: bytes) -> bytes:
    """The generator alone as a safetensors file, in float32 with its original names.

    It is proven to load before and after. Raises ModelUnusable, as ``parse_lama`` does, and for
    weights that are not finite.
    """
    parse_lama(model, path, content)
    whole = {
        key: (tensor.float() if tensor.is_floating_point() else tensor).contiguous().clone()
        for key, tensor in _generator_tensors(model, path, content).items()
    }
    if not all(torch.isfinite(tensor).all() for tensor in whole.values()):
        cause = f"{path} has weights that are not finite numbers"
        raise ModelUnusable(model=model, cause=cause, fix="Fetch the file again.")
    converted: bytes = safetensors.torch.save(whole, metadata={"format": "pt"})
    parse_lama(model, path.with_suffix(".safetensors"), converted)
    return converted


def _generator_tensors(model: str, path: Path, content: bytes) -> dict[str, Tensor]:
    """Original name (model.1… to model.N…) → tensor, whatever the format; raises ModelUnusable."""
    if path.suffix.lower() == ".safetensors" or content[8:9] == b"{":
        return _parse_safetensors(model, path, content)
    if not is_archive(content):
        raise _unread(model, path, "it is no archive of torch 1.6 or later, or it is cut off")
    try:
        archive = repack(content)
        tensors = torchscript_tensors(archive) if archive.scripted else checkpoint_tensors(archive)
    except ValueError as error:
        raise _unread(model, path, _brief(error)) from None
    try:
        return _plain(_pick_generator(tensors), len(content))
    except ValueError as error:
        raise _misfit(model, path, error) from None


def build_lama(shape: LamaShape, state: Tensors) -> Lama:
    """A module of that shape that owns ``state``; raises RuntimeError unless they fit exactly."""
    with torch.device("meta"):
        module = Lama(shape)
    odd = [k for k, v in state.items() if not v.is_floating_point() and v.dtype != torch.int64]
    if odd:
        raise RuntimeError(f"{odd[0]} is {state[odd[0]].dtype}")
    floats = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    module.load_state_dict(floats, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def lama_shape(tensors: Tensors) -> LamaShape:
    """The shape of the generator with these original names; raises KeyError or ValueError."""
    if any(".lfu." in key for key in tensors):
        raise ValueError("it has local Fourier units, which retouchd's LaMa has not")
    ngf, inputs = tensors[_STEM].shape[:2]
    downs = _count(lambda n: f"model.{2 + n}.ffc.convl2l.weight" in tensors)
    blocks = _count(lambda n: f"model.{2 + downs + n}.conv1.ffc.convl2l.weight" in tensors)
    local, spectral = (
        len(tensors[f"model.{1 + downs}.ffc.{path}.weight"]) for path in ("convl2l", "convl2g")
    )
    head = f"model.{4 + downs + blocks + 3 * downs}.weight"
    return LamaShape(
        inputs=inputs,
        outputs=len(tensors[head]),
        ngf=ngf,
        downs=downs,
        blocks=blocks,
        ratio=spectral / (local + spectral),
        max_features=_max_features(local + spectral, ngf << downs),
    )


def lama_name(key: str, shape: LamaShape) -> str:
    """Our name for a key of the original implementation, which numbers its layers.

    0 padding, 1 stem, 2… down-samplings, residual blocks, 1 concatenation, per up-sampling a
    transposed convolution, batch norm and ReLU, then padding and the head. Raises ValueError.
    """
    prefix, _, rest = key.partition(".")
    number, _, rest = rest.partition(".")
    if prefix != "model" or not number.isdigit():
        raise ValueError(f"unknown key {key}")
    name = f"{_layer(int(number), shape)}.{rest}"
    for theirs, ours in _RENAMES:
        name = name.replace(theirs, ours)
    return name


def _layer(number: int, shape: LamaShape) -> str:
    first_block = 2 + shape.downs
    first_up = first_block + shape.blocks + 1
    up, part = divmod(number - first_up, 3)
    names = {1: "stem", first_block - 1: "split", first_up + 3 * shape.downs + 1: "head"}
    if number in names:
        return names[number]
    if 2 <= number < first_block:
        return f"downs.{number - 2}"
    if first_block <= number < first_up - 1:
        return f"blocks.{number - first_block}"
    if 0 <= up < shape.downs and part < 2:
        return f"ups.{up}.{('conv', 'norm')[part]}"
    raise ValueError(f"unknown layer {number}")


def _max_features(deepest: int, unbounded: int) -> int:
    """The limit shows in the keys only where it was reached."""
    return deepest if deepest < unbounded else max(deepest, LamaShape.max_features)


def _count(there: Callable[[int], bool]) -> int:
    number = 0
    while there(number):
        number += 1
    return number


def _pick_generator(tensors: Tensors) -> dict[str, Tensor]:
    """The generator among its discriminator, losses and evaluators; raises ValueError."""
    prefixes = [key.removesuffix(_STEM) for key in tensors if f".{key}".endswith(f".{_STEM}")]
    if len(prefixes) > 1:
        # A training that also averages its generator keeps both; its own evaluation uses this one.
        prefixes = [prefix for prefix in prefixes if f".{prefix}".endswith(".generator.")]
    if len(prefixes) != 1:
        raise ValueError("no single key ends in " + _STEM + "; is it frozen, or another network?")
    start = f"{prefixes[0]}model."
    return {
        key.removeprefix(prefixes[0]): tensor
        for key, tensor in tensors.items()
        if key.startswith(start)
    }


def _plain(tensors: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """The tensors, if all are ordinary; a view can claim any size. Raises ValueError."""
    for key, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise ValueError(f"{key} is no ordinary tensor")
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if claimed > size:
        raise ValueError("its tensors claim to be larger than the file")
    return {key: tensor.detach() for key, tensor in tensors.items()}


def _parse_safetensors(model: str, path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        return dict(safetensors.torch.load(content))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelUnusable(
            model=model,
            cause=f"{path} is not a valid .safetensors file ({_brief(error)})",
            fix="Fetch or convert the file again.",
        ) from None


def _unread(model: str, path: Path, cause: str) -> ModelUnusable:
    return ModelUnusable(
        model=model,
        cause=f"{path} can't be loaded ({cause})",
        fix="Fetch the file again from where its authors publish it; if it is the same, its "
        "weights can only be used after they were saved as .safetensors.",
    )


def _misfit(model: str, path: Path, error: Exception) -> ModelUnusable:
    return ModelUnusable(
        model=model,
        cause=f"{path} holds no LaMa generator that fits ({_brief(error)})",
        fix="Give the original checkpoint or TorchScript file of a LaMa, or its generator alone "
        "with the original names model.1… to model.N….",
    )


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
