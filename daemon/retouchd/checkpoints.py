"""Checkpoints that a training wrote: Lightning's, or a plain state dict saved by torch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from retouchd.archives import Archive, Inert, StandIn, ordered, unpickle

# What trainings leave beside the weights. None of it is imported: an Inert stands for each.
_COMPANY = (
    "pytorch_lightning.",
    "lightning.",
    "lightning_fabric.",
    "lightning_utilities.",
    "torchmetrics.",
    "omegaconf.",
    "saicinpainting.",
    "numpy.core.multiarray.",
    "numpy._core.multiarray.",
)
_COMPANIONS = (
    *("typing.Any", "numpy.dtype", "pathlib.PosixPath"),
    *("builtins.list", "builtins.tuple", "builtins.str", "builtins.int", "builtins.float"),
)
_DICTS = (
    "builtins.dict",
    "collections.defaultdict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)
_STATES = ("state_dict", "gen_state_dict")  # Lightning's key; that of later fine-tunings


def checkpoint_tensors(archive: Archive) -> dict[str, Tensor]:
    """Full name → tensor of a checkpoint; raises ValueError for what is none, or is hostile."""
    whole = unpickle(archive, _stand_in)
    if not isinstance(whole, Mapping):
        raise ValueError(f"it holds a {type(whole).__name__}, not a state dict")
    state = next((whole[key] for key in _STATES if isinstance(whole.get(key), Mapping)), whole)
    return {
        key: value
        for key, value in state.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }


def _stand_in(name: str) -> StandIn | None:
    if name in _DICTS:
        return ordered
    return Inert if name in _COMPANIONS or name.startswith(_COMPANY) else None
