"""The administrator's own manifest, with an entry more: comments and other entries stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from retouchd.errors import ModelUnusable
from retouchd.manifest import Entry, parse_manifest


def with_entry(text: str, name: str, entry: Entry, path: Path) -> str:
    """The manifest's text with ``entry`` under ``name``; raises ModelUnusable.

    An entry of that name is replaced where it stands. The text is edited line by line where its
    form allows that; else it is written anew, without its comments. path: what messages call it.
    """
    wanted = {**parse_manifest(text, path), name: entry}
    for candidate in (_edited(text, name, entry), _rewritten(text, name, entry)):
        if _means(candidate, wanted, path):
            return candidate
    raise ModelUnusable(
        model=name,
        cause=f"{path} has a form that can't be added to",
        fix=f"Add this to it yourself: {_block(name, entry)}",
    )


def _means(text: str, wanted: dict[str, Entry], path: Path) -> bool:
    try:
        return parse_manifest(text, path) == wanted
    except ModelUnusable:
        return False


def _edited(text: str, name: str, entry: Entry) -> str:
    """The text with some lines replaced; may turn out wrong for YAML in unusual forms."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    models = _models(text)
    if models is None:
        return "".join([*lines, "models:\n", _indented(_block(name, entry), 2)])
    first, last = _place(models, name)
    block = _indented(_block(name, entry), models.start_mark.column)
    return "".join([*lines[:first], block, *lines[last:]])


def _models(text: str) -> yaml.MappingNode | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "models" and isinstance(value, yaml.MappingNode) and value.value:
                return value
    return None


def _place(models: yaml.MappingNode, name: str) -> tuple[int, int]:
    """First line to replace and the one after the last: the entry's own, or none at the end."""
    for key, value in models.value:
        if key.value == name:
            return key.start_mark.line, _line_after(value)
    end = _line_after(models)
    return end, end


def _line_after(node: yaml.Node) -> int:
    """The line after a node's text; comments that follow a block belong to what comes next."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end: int = node.end_mark.line + (node.end_mark.column > 0)
    return end


def _rewritten(text: str, name: str, entry: Entry) -> str:
    tree = yaml.safe_load(text) or {}
    tree["models"] = {**(tree.get("models") or {}), name: _fields(entry)}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)


def _block(name: str, entry: Entry) -> str:
    return yaml.safe_dump({name: _fields(entry)}, sort_keys=False, allow_unicode=True, width=96)


def _indented(block: str, columns: int) -> str:
    return "".join(f"{' ' * columns}{line}" for line in block.splitlines(keepends=True))


def _fields(entry: Entry) -> dict[str, Any]:
    return {key: value for key, value in entry.model_dump(exclude_defaults=True).items() if value}
