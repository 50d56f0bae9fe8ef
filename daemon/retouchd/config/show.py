"""Config → YAML that reads back to the same configuration."""

from __future__ import annotations

from datetime import time
from typing import Any

import yaml
from pydantic import BaseModel

from retouchd.config.sections import Config
from retouchd.config.units import show_duration, show_pixels

_DURATIONS = frozenset(
    [
        "settle",
        "incomplete_after",
        "local",
        "remote",
        "answer_within",
        "first",
        "longest",
        "orphan_after",
        "max_age",
        "every",
        "drain",
    ]
)
_SIZES = frozenset({"max_bytes", "max_size", "min_free"})


def to_yaml(config: Config) -> str:
    """The whole configuration, with units as people write them."""
    text: str = yaml.safe_dump(_plain("", config), sort_keys=False, allow_unicode=True)
    return text


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(name, getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, tuple):
        if value and isinstance(value[0], time):
            return "-".join(f"{clock:%H:%M}" for clock in value)
        return [_plain(key, item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    return _with_unit(key, value)


def _with_unit(key: str, value: Any) -> Any:
    if key in _DURATIONS:
        return show_duration(value)
    if key in _SIZES:
        return f"{value}B"
    if key == "max_pixels":
        return show_pixels(value)
    return value if isinstance(value, (int, float)) else str(value)
