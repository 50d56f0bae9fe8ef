"""YAML → Config, with errors that name the line, the key, what is wrong and what would be right."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from retouchd.config.sections import Config
from retouchd.errors import ConfigInvalid

Overrides = Sequence[str]


def load(path: Path, overrides: Overrides = ()) -> Config:
    """The configuration in the file at ``path``; raises ConfigInvalid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(
            where=path,
            cause=f"the file can't be read ({error})",
            fix="Check the path and its permissions; config.example.yaml is a good start.",
        ) from None
    return parse(text, str(path), overrides)


def for_root(root: Path, overrides: Overrides = (), state: Path | None = None) -> Config:
    """The configuration of ``--root DIR``: one inpaint lane in its sub-folders."""
    root = Path(os.path.abspath(root))
    tree = {
        "state": str(state or root / ".retouchd"),
        "lanes": [{"name": "inpaint", "root": str(root)}],
    }
    return _build(tree, None, f"--root {root}", overrides)


def parse(text: str, source: str, overrides: Overrides = ()) -> Config:
    """The configuration in ``text``; ``source`` names it in errors."""
    try:
        tree = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}" if mark else source
        raise ConfigInvalid(
            where=where,
            cause=f"it is not valid YAML ({getattr(error, 'problem', error)})",
            fix="Check the indentation and the quotes around that line.",
        ) from None
    if not isinstance(tree, dict):
        raise ConfigInvalid(
            where=source, cause="it holds no settings", fix="Start from config.example.yaml."
        )
    return _build(tree, node, source, overrides)


def _build(tree: dict[str, Any], node: yaml.Node | None, source: str, sets: Overrides) -> Config:
    for item in sets:
        _override(tree, item)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _explained(error.errors()[0], node, source) from None


def _override(tree: dict[str, Any], item: str) -> None:
    """Apply one ``a.b.c=value``; ``lanes.NAME.key`` picks a lane by name, ``lanes.*.key`` all."""
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise ConfigInvalid(
            where=f"--set {item}", cause="it has no '='", fix="Write --set section.key=value."
        )
    for parent in _parents(tree, key.split(".")[:-1], item):
        parent[key.split(".")[-1]] = yaml.safe_load(value)


def _parents(tree: dict[str, Any], keys: list[str], item: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [tree]
    for position, key in enumerate(keys):
        if position == 1 and keys[0] == "lanes":
            found = [lane for lane in tree.get("lanes", []) if key in ("*", lane.get("name"))]
            if not found:
                names = ", ".join(str(lane.get("name")) for lane in tree.get("lanes", []))
                raise ConfigInvalid(
                    where=f"--set {item}",
                    cause=f"there is no lane {key!r}",
                    fix=f"The lanes are {names}; '*' means all of them.",
                )
        elif not (position == 0 and key == "lanes"):
            found = [_section(parent, key) for parent in found]
    return found


def _section(parent: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(parent.get(key), dict):
        parent[key] = {}
    section: dict[str, Any] = parent[key]
    return section


def _explained(detail: ErrorDetails, node: yaml.Node | None, source: str) -> ConfigInvalid:
    path = tuple(part for part in detail["loc"] if _is_key(part))
    dotted = ".".join(str(part) for part in path)
    line = _line(node, path)
    where = f"{source}, line {line}" if line else source
    cause, fix = _cause(detail, path)
    return ConfigInvalid(where=f"{where}, {dotted}" if dotted else where, cause=cause, fix=fix)


def _is_key(part: int | str) -> bool:
    """Pydantic adds the names of union members to the path; keys are lower case words."""
    return isinstance(part, int) or (part.replace("_", "").isalpha() and part.islower())


def _cause(detail: ErrorDetails, path: tuple[int | str, ...]) -> tuple[str, str]:
    if detail["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        return f"there is no key {path[-1]!r}", (
            f"Did you mean {close[0]!r}?" if close else f"The keys here are {', '.join(known)}."
        )
    if detail["type"] == "missing":
        return "it is missing", f"Add {path[-1]!r}; config.example.yaml shows how."
    message = detail["msg"].removeprefix("Value error, ")
    return f"{message} (it is {detail['input']!r})" if path else message, (
        "config.example.yaml documents every key with its default."
    )


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation) or model
    return sorted(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m), None)


def _line(node: yaml.Node | None, path: tuple[int | str, ...]) -> int | None:
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
