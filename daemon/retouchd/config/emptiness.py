"""Keys with nothing behind them: to YAML `bg_color: #ffffff` is a key and a comment."""

from __future__ import annotations

import yaml

from retouchd.config.fields import field_at, section_in
from retouchd.config.written import Written, scalars
from retouchd.errors import ConfigInvalid

HASH = "what begins with # needs quotes, like '#ffffff'"


def refuse_empty(written: Written) -> None:
    """Raise ConfigInvalid for a key that was written without a value. A section may be empty, as
    one is in which everything was commented out."""
    for path, scalar in scalars(written.node):
        field = field_at(path) if path and _is_nothing(scalar) else None
        if field is not None and section_in(field.annotation) is None:
            raise ConfigInvalid(
                where=written.place(path),
                cause=f"{path[-1]} is empty: nothing stands behind it",
                fix=f"Write its value ({HASH}), or leave the key out for its default.",
            )


def _is_nothing(node: yaml.ScalarNode) -> bool:
    return node.value == "" and str(node.tag).endswith(":null")
