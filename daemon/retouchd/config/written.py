"""A configuration as it was written: its keys, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

KeyPath = tuple[int | str, ...]


@dataclass(frozen=True)
class Written:
    """tree: what was written, with the settings of the command line. node: YAML's own view of the
    file, None without one. source: the file, or the option that stands for it. sets: the settings
    of the command line."""

    tree: dict[str, Any]
    node: yaml.Node | None
    source: str
    sets: Sequence[str]

    def place(self, path: KeyPath) -> str:
        """Where a key stands: ``c.yaml, line 7, lanes[0] (inpaint), mask.dilate``."""
        shown, line = self.shown(path), line_of(self.node, path)
        given = next((item for item in self.sets if _is_about(item, path, self.tree)), None)
        where = f"{self.source}, line {line}" if line else self.source
        where = f"--set {given}" if given else where
        return f"{where}, {shown}" if shown else where

    def shown(self, path: KeyPath) -> str:
        """``("lanes", 0, "mask", "dilate")`` → ``lanes[0] (inpaint), mask.dilate``."""
        text = ""
        value: Any = self.tree
        for part in path:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else None
                name = value.get("name") if isinstance(value, dict) else None
                text += f"[{part}] ({name}), " if isinstance(name, str) else f"[{part}], "
            else:
                value = value.get(part) if isinstance(value, dict) else None
                text += part if not text or text.endswith(", ") else f".{part}"
        return text.removesuffix(", ")

    def holds(self, path: KeyPath) -> bool:
        """Whether something stands at a path; a default doesn't."""
        value: Any = self.tree
        for part in path:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value is not None


def line_of(node: yaml.Node | None, path: KeyPath) -> int | None:
    """The line (from 1) of the key at ``path``, or of the nearest key above it."""
    found = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == part), None)
            if pair is None:
                break
            found, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part] if part < len(node.value) else None
            found = node.start_mark.line + 1 if node else found
    return found


def scalars(
    node: yaml.Node | None, path: KeyPath = ()
) -> Iterator[tuple[KeyPath, yaml.ScalarNode]]:
    """Every plain value below a node, with its path."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from scalars(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from scalars(item, (*path, number))
    elif isinstance(node, yaml.ScalarNode):
        yield path, node


def _is_about(item: str, path: KeyPath, tree: dict[str, Any]) -> bool:
    keys = item.partition("=")[0].split(".")
    if keys[0] == "lanes" and path[:1] == ("lanes",) and len(path) > 1 and len(keys) > 1:
        lane = tree["lanes"][path[1]]
        named = keys[1] in ("*", lane.get("name") if isinstance(lane, dict) else None)
        return named and tuple(keys[2:]) == path[2:]
    return tuple(keys) == path
