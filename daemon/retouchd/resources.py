"""Where the files lie that come with retouchd, installed or in a checkout."""

from __future__ import annotations

from pathlib import Path

from retouchd.errors import StartError

_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = {"manifest.yaml": "models/manifest.yaml"}


def resource(name: str) -> Path:
    """The file or folder ``name``, like ``manifest.yaml``, ``config.example.yaml``, ``systemd``.

    A wheel has it in its package data, an editable install in the checkout around the package.
    Raises StartError when it is in neither.
    """
    candidates = (
        _PACKAGE / "data" / name,
        _PACKAGE.parents[1] / _IN_CHECKOUT.get(name, name),
    )
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise StartError(cause=f"{name} is missing from this installation (looked at {candidates[0]})")
