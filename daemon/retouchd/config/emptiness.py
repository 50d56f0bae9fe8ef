"""Keys with nothing behind them: to YAML `bg_color: #ffffff` is a key and a comment."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from retouchd.config.fields import field_at, section_in
from retouchd.config.written import KeyPath, Written
from retouchd.errors import ConfigInvalid

HASH = "what begins with # needs quotes, like '#ffffff'"


def refuse_empty(written: Written) -> None:
    """Raise ConfigInvalid for a key that was written without a value. A section may be empty, as
    one is in which everything was commented out."""
    for path in _empty(written.node, ()):
        field = field_at(path)
        if field is not None and section_in(field.annotation) is None:
            raise ConfigInvalid(
                where=written.place(path),
                cause=f"{path[-1]} is empty: nothing stands behind it",
                fix=f"Write its value ({HASH}), or leave the key out for its default.",
            )


def _empty(node: yaml.Node | None, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _empty(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _empty(item, (*path, number))
    elif isinstance(node, yaml.ScalarNode) and path and _is_nothing(node):
        yield path


def _is_nothing(node: yaml.ScalarNode) -> bool:
    return node.value == "" and str(node.tag).endswith(":null")
