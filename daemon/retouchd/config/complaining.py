"""What pydantic found wrong, as the line, the key, what is wrong and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from retouchd.config.fields import field_at, section_at, section_in
from retouchd.config.folders import Clash
from retouchd.config.sections import Config
from retouchd.config.units import show_duration
from retouchd.config.written import KeyPath, Written
from retouchd.errors import ConfigInvalid

_EXAMPLE = "config.example.yaml documents every key with its default."


def explained(details: Sequence[ErrorDetails], written: Written) -> ConfigInvalid:
    """The first thing that is wrong. A value that may be of several kinds is wrong in each."""
    first = _plainest(details)
    clash = first.get("ctx", {}).get("error")
    if isinstance(clash, Clash):
        # What the command line or the file says, rather than what follows from it.
        key = next((key for key in clash.keys if written.holds(key)), clash.keys[0])
        return ConfigInvalid(where=written.place(key), cause=clash.cause, fix=clash.fix)
    path = _key_path(first)
    same = [detail for detail in details if _key_path(detail) == path]
    cause, fix = _cause(same, path)
    return ConfigInvalid(where=written.place(path), cause=cause, fix=fix)


def _plainest(details: Sequence[ErrorDetails]) -> ErrorDetails:
    """The first, unless it is a key that is missing where there is one that is unknown: it is
    misspelt."""
    first = details[0]
    if first["type"] == "missing":
        beside = (d for d in details if d["loc"][:-1] == first["loc"][:-1])
        return next((d for d in beside if d["type"] == "extra_forbidden"), first)
    return first


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
            model = section_in(model.model_fields[part].annotation)
    return tuple(path)


def _cause(details: Sequence[ErrorDetails], path: KeyPath) -> tuple[str, str]:
    first = details[0]
    if first["type"] == "extra_forbidden":
        known = sorted(section_at(path[:-1]).model_fields)
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
    (r"^Input should be a valid integer.*", "it should be a whole number"),
    (r"^Input should be a valid number.*", "it should be a number"),
    (r"^Input should be a valid boolean.*", "it should be true or false"),
    (r"^Input should be a valid string.*", "it should be text"),
    (r"^Input should", "it should"),
)


def _plainly(detail: ErrorDetails, path: KeyPath) -> str:
    """Pydantic's message without its vocabulary."""
    text = detail["msg"]
    if detail["type"] == "string_pattern_mismatch":
        field = field_at(path)
        return f"it should be {field.description if field else ''}"
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
    field = field_at(path) if path and isinstance(path[-1], str) else None
    if field:
        value = field.default
        if isinstance(value, float) and "parse_duration" in str(field.rebuild_annotation()):
            return f"The default is {show_duration(value)}. {_EXAMPLE}"
        if isinstance(value, (bool, str, float)) or (isinstance(value, int) and value < 1000):
            return f"The default is {_as_yaml(value)}. {_EXAMPLE}"
    return _EXAMPLE
