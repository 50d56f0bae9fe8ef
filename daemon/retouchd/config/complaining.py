"""What pydantic found wrong, as the line, the key, what is wrong and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from retouchd.config.sections import Config
from retouchd.config.units import show_duration
from retouchd.errors import ConfigInvalid

KeyPath = tuple[int | str, ...]
_EXAMPLE = "config.example.yaml documents every key with its default."


def explained(
    details: Sequence[ErrorDetails],
    tree: dict[str, Any],
    node: yaml.Node | None,
    source: str,
    sets: Sequence[str],
) -> ConfigInvalid:
    """The first thing that is wrong. A value that may be of several kinds is wrong in each."""
    path = _key_path(details[0])
    same = [detail for detail in details if _key_path(detail) == path]
    shown = shown_path(path, tree)
    line = _line(node, path)
    given = next((item for item in sets if _is_about(item, path, tree)), None)
    place = f"--set {given}" if given else f"{source}, line {line}" if line else source
    cause, fix = _cause(same, path)
    return ConfigInvalid(where=f"{place}, {shown}" if shown else place, cause=cause, fix=fix)


def shown_path(path: KeyPath, tree: dict[str, Any]) -> str:
    """``("lanes", 0, "mask", "dilate")`` → ``lanes[0] (inpaint), mask.dilate``."""
    text = ""
    value: Any = tree
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
            name = value.get("name") if isinstance(value, dict) else None
            text += f"[{part}] ({name}), " if isinstance(name, str) else f"[{part}], "
        else:
            value = value.get(part) if isinstance(value, dict) else None
            text += part if not text or text.endswith(", ") else f".{part}"
    return text.removesuffix(", ")


def _is_about(item: str, path: KeyPath, tree: dict[str, Any]) -> bool:
    keys = item.partition("=")[0].split(".")
    if keys[0] == "lanes" and path[:1] == ("lanes",) and len(path) > 1 and len(keys) > 1:
        lane = tree["lanes"][path[1]]
        named = keys[1] in ("*", lane.get("name") if isinstance(lane, dict) else None)
        return named and tuple(keys[2:]) == path[2:]
    return tuple(keys) == path


def _key_path(detail: ErrorDetails) -> KeyPath:
    """The path without what pydantic adds: the names of the kinds that a value may be of."""
    if detail["type"] in ("extra_forbidden", "missing", "invalid_key"):
        return detail["loc"]
    path: list[int | str] = []
    model: type[BaseModel] | None = Config
    for part in detail["loc"]:
        if isinstance(part, int):
            path.append(part)
        elif model is not None and part in model.model_fields:
            path.append(part)
            model = _model_in(model.model_fields[part].annotation)
    return tuple(path)


def _cause(details: Sequence[ErrorDetails], path: KeyPath) -> tuple[str, str]:
    first = details[0]
    if first["type"] == "extra_forbidden":
        known = sorted(_model_at(path[:-1]).model_fields)
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        return f"there is no key {str(path[-1])!r}", (
            f"Did you mean {close[0]!r}?" if close else f"The keys here are {', '.join(known)}."
        )
    if first["type"] == "missing":
        return "it is missing", _what_to_add(str(path[-1]))
    said = [_plainly(detail, path) for detail in details if detail["type"] != "none_required"]
    said = list(dict.fromkeys(said))
    if first["type"] != "value_error" and path:
        said[-1] += f"; it is {_as_yaml(first['input'])}"
    return ", or ".join(said), _default(path)


_PLAIN = (
    (r"^Value error, ", ""),
    (r"^Input should be a valid dictionary or instance of \w+", "it should be a section of keys"),
    (r"^Input should be a valid tuple", "it should be a list"),
    (r"^Tuple should have at least 1 item.*", "there should be at least one"),
    (r"^Input should be a valid integer, .*", "it should be a whole number"),
    (r"^Input should", "it should"),
)


def _plainly(detail: ErrorDetails, path: KeyPath) -> str:
    """Pydantic's message without its vocabulary."""
    text = detail["msg"]
    if detail["type"] == "string_pattern_mismatch":
        return f"it should be {_field(path).description}"
    for pattern, plain in _PLAIN:
        text = re.sub(pattern, plain, text)
    return text[:1].lower() + text[1:]


def _what_to_add(key: str) -> str:
    if key in ("inbox", "outbox", "archive", "failed"):
        return (
            "Add 'root' (a folder that holds the four), or 'inbox', 'outbox', 'archive', 'failed'."
        )
    return f"Add {key!r}; config.example.yaml shows how."


def _as_yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return text.removesuffix("...\n").strip()[:200]


def _default(path: KeyPath) -> str:
    if path and isinstance(path[-1], str):
        field = _field(path)
        value = field.default
        if isinstance(value, float) and "parse_duration" in str(field.rebuild_annotation()):
            return f"The default is {show_duration(value)}. {_EXAMPLE}"
        if isinstance(value, (bool, str, float)) or (isinstance(value, int) and value < 1000):
            return f"The default is {_as_yaml(value)}. {_EXAMPLE}"
    return _EXAMPLE


def _field(path: KeyPath) -> FieldInfo:
    return _model_at(path[:-1]).model_fields[str(path[-1])]


def _model_at(path: KeyPath) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m), None)


def _line(node: yaml.Node | None, path: KeyPath) -> int | None:
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
