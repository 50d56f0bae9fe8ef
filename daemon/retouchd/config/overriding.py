"""Single settings from the command line: ``--set section.key=value``."""

from __future__ import annotations

from typing import Any

import yaml

from retouchd.errors import ConfigInvalid


def override(tree: dict[str, Any], item: str) -> None:
    """Apply one ``a.b.c=value``; ``lanes.NAME.key`` picks a lane by name, ``lanes.*.key`` all."""
    key, equals, text = item.partition("=")
    if not equals or not key:
        raise _refused(item, "it has no key and '='", "Write --set section.key=value.")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise _refused(item, "its value is not valid YAML", "Put it in quotes.") from None
    *above, last = key.split(".")
    for parent in _parents(tree, above, item):
        parent[last] = value


def _parents(tree: dict[str, Any], keys: list[str], item: str) -> list[dict[str, Any]]:
    if keys[:1] == ["lanes"] and len(keys) > 1:
        found, keys = _lanes(tree, keys[1], item), keys[2:]
    elif keys[:1] == ["lanes"]:
        raise _refused(item, "it names no lane's key", "Write --set lanes.NAME.key=value.")
    else:
        found = [tree]
    for key in keys:
        found = [_section(parent, key) for parent in found]
    return found


def _lanes(tree: dict[str, Any], wanted: str, item: str) -> list[dict[str, Any]]:
    listed = tree.get("lanes")
    lanes = [lane for lane in listed if isinstance(lane, dict)] if isinstance(listed, list) else []
    found = [lane for lane in lanes if wanted in ("*", lane.get("name"))]
    if not found:
        names = ", ".join(str(lane.get("name")) for lane in lanes)
        fix = f"The lanes are {names}; '*' means all of them." if names else "Add a lane first."
        raise _refused(item, f"there is no lane {wanted!r}", fix)
    return found


def _section(parent: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(parent.get(key), dict):
        parent[key] = {}
    section: dict[str, Any] = parent[key]
    return section


def _refused(item: str, cause: str, fix: str) -> ConfigInvalid:
    return ConfigInvalid(where=f"--set {item}", cause=cause, fix=fix)
