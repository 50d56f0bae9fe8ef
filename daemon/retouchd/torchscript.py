"""TorchScript archives: their parameters, read out without loading the program.

``torch.jit.load`` runs what the archive says (``__setstate__`` can write files). But parameters
and buffers lie in its pickle as attributes of a tree of modules, beside the code; so the tree is
rebuilt from inert objects and the code is not even handed to torch.
"""

from __future__ import annotations

from torch import Tensor

from retouchd.archives import Archive, Inert, StandIn, unpickle

_LISTS = ("build_intlist", "build_tensorlist", "build_doublelist", "build_boollist")
_HELPERS = tuple(f"torch.jit._pickle.{name}" for name in (*_LISTS, "restore_type_tag"))


def torchscript_tensors(archive: Archive) -> dict[str, Tensor]:
    """Dotted name → parameter or buffer of a TorchScript archive; raises ValueError.

    A frozen program has its weights as nameless constants; its result is empty.
    """
    root = unpickle(archive, _stand_in)
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    pending: list[tuple[str, object]] = [("", root)]
    while pending:
        name, value = pending.pop()
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, Inert) and isinstance(value.state, dict) and id(value) not in seen:
            seen.add(id(value))
            pending.extend((f"{name}.{k}".lstrip("."), v) for k, v in value.state.items())
    return found


def _stand_in(name: str) -> StandIn | None:
    if name in _HELPERS:
        return _first
    return Inert if name.startswith("__torch__.") else None


def _first(value: object, *_: object) -> object:
    return value
