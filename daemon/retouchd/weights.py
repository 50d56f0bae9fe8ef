"""Weights files → modules: hashed as they are loaded, every key used and none missing.

A file is a safetensors file with the generator alone, a checkpoint of its training, or
TorchScript; no format may run code (see ``archives``).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from retouchd.archives import is_archive, repack
from retouchd.checkpoints import checkpoint_tensors
from retouchd.errors import ModelUnusable
from retouchd.lama_names import STEM, lama_name, lama_shape
from retouchd.manifest import ModelSpec, check_format, check_sha256
from retouchd.nets.lama import Lama, LamaShape
from retouchd.tensorfile import is_tensorfile, read_tensors
from retouchd.torchscript import torchscript_tensors
from retouchd.weightfile import MAX_WEIGHTS_BYTES, open_weights, unreadable

Tensors = Mapping[str, Tensor]


class LamaFile:
    """The weights of a LaMa in a file that stays open, to be loaded as often as they are needed.

    So they are still there when `models add` has put a newer file in this one's place. Raises
    ModelUnusable.
    """

    def __init__(self, spec: ModelSpec) -> None:
        check_format(spec)
        if spec.path is None:
            raise ModelUnusable(model=spec.name, cause="it has no weights file", fix="Give it one.")
        self._spec, self._path = spec, spec.path
        self._file = open_weights(spec.name, spec.path)

    def load(self) -> Lama:
        """A generator on the CPU, in float32 and in evaluation mode; raises ModelUnusable.

        The sha256 is checked on the very bytes that are used, and before they are parsed where
        parsing is more than copying numbers.
        """
        model, path = self._spec.name, self._path
        try:
            self._file.seek(0)
            if path.suffix.lower() == ".safetensors" or is_tensorfile(self._file.read(9)):
                return _built(model, path, self._tensors())
            self._file.seek(0)
            content = self._file.read(MAX_WEIGHTS_BYTES)
        except OSError as error:
            raise unreadable(model, path, error) from None
        check_sha256(self._spec, hashlib.sha256(content).hexdigest())
        return parse_lama(model, path, content)

    def close(self) -> None:
        """It can't be loaded any more."""
        self._file.close()

    def _tensors(self) -> dict[str, Tensor]:
        digest = hashlib.sha256()
        try:
            tensors = read_tensors(self._file, digest.update)
        except ValueError as error:
            # Another file than was meant is the likelier cause, and has its own remedy.
            self._file.seek(0)
            check_sha256(self._spec, hashlib.file_digest(self._file, "sha256").hexdigest())
            raise _no_tensorfile(self._spec.name, self._path, error) from None
        check_sha256(self._spec, digest.hexdigest())
        return tensors


def load_lama(spec: ModelSpec) -> Lama:
    """A LaMa generator; see ``LamaFile.load``."""
    with closing(LamaFile(spec)) as file:
        return file.load()


def parse_lama(model: str, path: Path, content: bytes) -> Lama:
    """The generator that a file's content holds, on the CPU; raises ModelUnusable.

    model, path: what messages call it; the format is told by the content, but a file that is
    called .safetensors is never taken for anything else.
    """
    return _built(model, path, _generator_tensors(model, path, content))


def _built(model: str, path: Path, tensors: Tensors) -> Lama:
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
    if path.suffix.lower() == ".safetensors" or is_tensorfile(content):
        try:
            return read_tensors(io.BytesIO(content), lambda _: None)
        except ValueError as error:
            raise _no_tensorfile(model, path, error) from None
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


def _pick_generator(tensors: Tensors) -> dict[str, Tensor]:
    """The generator among its discriminator, losses and evaluators; raises ValueError."""
    prefixes = [key.removesuffix(STEM) for key in tensors if f".{key}".endswith(f".{STEM}")]
    if len(prefixes) > 1:
        # A training that also averages its generator keeps both; its own evaluation uses this one.
        prefixes = [prefix for prefix in prefixes if f".{prefix}".endswith(".generator.")]
    if len(prefixes) != 1:
        raise ValueError("no single key ends in " + STEM + "; is it frozen, or another network?")
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


def _no_tensorfile(model: str, path: Path, error: Exception) -> ModelUnusable:
    return ModelUnusable(
        model=model,
        cause=f"{path} is not a valid .safetensors file ({_brief(error)})",
        fix="Fetch or convert the file again.",
    )


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
