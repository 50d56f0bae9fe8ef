"""Pure: which keys of a lane say something for one task only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ONLY: Mapping[tuple[str, ...], str] = {
    ("strategy",): "inpaint",
    ("blend",): "inpaint",
    ("match",): "inpaint",
    ("pairing", "rectangles"): "inpaint",
    ("pairing", "alpha_holes"): "inpaint",
    ("matte",): "matte",
    ("review",): "matte",
}


def is_for(lane: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether a lane, as it was written, has a task to which a key of it says something."""
    found = (task for path, task in _ONLY.items() if tuple(keys[: len(path)]) == path)
    return (lane.get("task") or "inpaint") == next(found, lane.get("task") or "inpaint")
