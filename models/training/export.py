"""Weights files: the best running average of a training goes out, and a training starts from one.

The names are those of the original implementation, float16, safetensors: what the service loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from models.training import checkpoint
from models.training.lama_compact import CompactLama
from torch import Tensor

from retouchd.lama_names import lama_name, lama_shape
from retouchd.nets.lama import Lama, LamaShape

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def export(work: Path, to: Path) -> str:
    """Write ``work``/best.pt to ``to``, whole or not at all; says what was written.

    Raises FileNotFoundError without a best, ValueError for weights that float16 can't hold.
    """
    best = checkpoint.load(work / "best.pt", torch.device("cpu"))
    if best is None:
        raise FileNotFoundError(work / "best.pt")
    model = CompactLama(LamaShape(**best["shape"]))
    model.load_state_dict(best["average"])
    tensors = {name: _halved(tensor) for name, tensor in original_names(model).items()}
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ValueError("a weight is too large for float16")
    temporary = to.with_name(f".{to.name}.tmp")
    safetensors.torch.save_file(tensors, temporary, {"format": "pt", "step": str(best["step"])})
    temporary.replace(to)
    return f"{to}: {to.stat().st_size / 1e6:.1f} MB, step {best['step']}, score {best['score']:.4f}"


def read(path: Path) -> CompactLama:
    """The network in a file that ``export`` wrote; raises KeyError, ValueError or RuntimeError."""
    tensors = safetensors.torch.load_file(path)
    shape = lama_shape(tensors)
    model = CompactLama(shape)
    model.load_state_dict({lama_name(key, shape): tensors[key] for key in tensors})
    return model


def original_names(module: Lama) -> dict[str, Tensor]:
    """The weights of a LaMa under the names of the original implementation."""
    shape = module.shape
    theirs = {lama_name(name, shape): name for name in _names(shape)}
    return {theirs[ours]: tensor for ours, tensor in module.state_dict().items()}


def _names(shape: LamaShape) -> Iterator[str]:
    """Each original key; ``retouchd.lama_names`` explains the numbering."""
    for layer in range(1, 2 + shape.downs):
        yield from _local(f"model.{layer}")
    split = f"model.{1 + shape.downs}"
    yield f"{split}.ffc.convl2g.weight"
    yield from _norm(f"{split}.bn_g")
    for block in range(shape.blocks):
        for conv in ("conv1", "conv2"):
            yield from _both(f"model.{2 + shape.downs + block}.{conv}")
    first_up = 2 + shape.downs + shape.blocks + 1
    for up in range(first_up, first_up + 3 * shape.downs, 3):
        yield from (f"model.{up}.weight", f"model.{up}.bias")
        yield from _norm(f"model.{up + 1}")
    head = first_up + 3 * shape.downs + 1
    yield from (f"model.{head}.weight", f"model.{head}.bias")


def _both(conv: str) -> Iterator[str]:
    """A fast Fourier convolution."""
    yield from _local(conv)
    for part in ("convl2g", "convg2l", "convg2g.conv1.0", "convg2g.conv2"):
        yield f"{conv}.ffc.{part}.weight"
    yield f"{conv}.ffc.convg2g.fu.conv_layer.weight"
    for norm in ("ffc.convg2g.conv1.1", "ffc.convg2g.fu.bn", "bn_g"):
        yield from _norm(f"{conv}.{norm}")


def _local(conv: str) -> Iterator[str]:
    yield f"{conv}.ffc.convl2l.weight"
    yield from _norm(f"{conv}.bn_l")


def _norm(name: str) -> Iterator[str]:
    yield from (f"{name}.{part}" for part in _NORM)


def _halved(tensor: Tensor) -> Tensor:
    return (tensor.half() if tensor.is_floating_point() else tensor).clone().contiguous()
