"""Weights files of the matting network → modules and back, strictly.

Only safetensors: the network is trained here, so no other format has to be read. The numbers of
the network stand in the file's metadata, because dilations show in no tensor.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from retouchd.errors import ModelUnusable
from retouchd.manifest import ModelSpec, check_sha256
from retouchd.nets.cvunet import CvUNet, CvUNetShape
from retouchd.weightfile import read_weights

ARCHITECTURE = "cvunet"


def load_cvunet(spec: ModelSpec) -> CvUNet:
    """The network on the CPU, in float32 and in evaluation mode; raises ModelUnusable.

    The sha256 is checked on the very bytes that are parsed.
    """
    if spec.path is None:
        raise ModelUnusable(model=spec.name, cause="it has no weights file", fix="Give it one.")
    content = read_weights(spec.name, spec.path)
    check_sha256(spec, hashlib.sha256(content).hexdigest())
    return parse_cvunet(spec.name, spec.path, content)


def parse_cvunet(model: str, path: Path, content: bytes) -> CvUNet:
    """The network that a file's content holds, as ``load_cvunet``; raises ModelUnusable.

    model, path: what messages call it. A file without our metadata is taken for the default shape.
    """
    try:
        tensors = safetensors.torch.load(content)
        metadata = _metadata(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelUnusable(
            model=model,
            cause=f"{path} is not a valid .safetensors file ({_brief(error)})",
            fix="Fetch the file again.",
        ) from None
    try:
        return build_cvunet(shape_of(metadata), tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelUnusable(
            model=model,
            cause=f"{path} holds no matting network that fits ({_brief(error)})",
            fix="Give a .safetensors file that retouchd's own training wrote.",
        ) from None


def cvunet_bytes(net: CvUNet, kernels: torch.dtype = torch.float32) -> bytes:
    """The network as the content of a .safetensors file; ``parse_cvunet`` reads it.

    kernels: what convolutions are stored in; float16 halves the file. The rest is float32.
    Raises ValueError for weights that are not finite then, and for a network that was fused.
    """
    state = {
        key: (tensor.to(kernels) if tensor.dim() > 1 else tensor).contiguous().cpu()
        for key, tensor in net.state_dict().items()
    }
    odd = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if odd:
        raise ValueError(f"{odd[0]} has values that are not finite")
    if "encoder.stem.conv.bias" in state:
        raise ValueError("a fused network can't be saved; save the one that it was made from")
    shape = json.dumps(dataclasses.asdict(net.shape))
    content: bytes = safetensors.torch.save(state, {"architecture": ARCHITECTURE, "shape": shape})
    return content


def shape_of(metadata: Mapping[str, str]) -> CvUNetShape:
    """The shape that a file's metadata names; raises TypeError or ValueError for an odd one."""
    found = metadata.get("architecture", ARCHITECTURE)
    if found != ARCHITECTURE:
        raise ValueError(f"its architecture is {found}")
    values: Any = json.loads(metadata.get("shape", "{}"))
    if not isinstance(values, dict):
        raise ValueError("its shape is not a table")
    # JSON has lists only, and a frozen shape has tuples.
    tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return _checked(CvUNetShape(**tuples))


def _checked(shape: CvUNetShape) -> CvUNetShape:
    """A file must not be able to ask for a network that fills the memory."""
    counts = (shape.context, shape.head, *shape.decoder)
    if not all(isinstance(n, int) and 1 <= n <= 1024 for n in (*counts, *shape.rates)):
        raise ValueError("its shape has numbers that are not between 1 and 1024")
    if not 0 < shape.width <= 4 or len(shape.rates) > 8:
        raise ValueError("its shape is absurdly large")
    return shape


def build_cvunet(shape: CvUNetShape, state: Mapping[str, Tensor]) -> CvUNet:
    """A module of that shape that owns ``state``; raises RuntimeError unless they fit exactly."""
    with torch.device("meta"):
        module = CvUNet(shape)
    odd = [k for k, v in state.items() if not v.is_floating_point() and v.dtype != torch.int64]
    if odd:
        raise RuntimeError(f"{odd[0]} is {state[odd[0]].dtype}")
    floats = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    wrong = [key for key, tensor in floats.items() if not torch.isfinite(tensor).all()]
    if wrong:
        raise RuntimeError(f"{wrong[0]} has values that are not finite")
    module.load_state_dict(floats, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def _metadata(content: bytes) -> dict[str, str]:
    """The free text that a valid safetensors file carries; {} if there is none."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    return dict(header.get("__metadata__") or {})


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
