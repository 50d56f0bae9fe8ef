"""Single settings from the command line: ``--set section.key=value``."""

from __future__ import annotations

from typing import Any

import yaml

from retouchd.config.emptiness import HASH
from retouchd.config.octal import octals
from retouchd.config.tasks import is_for
from retouchd.errors import ConfigInvalid


def override(tree: dict[str, Any], item: str) -> None:
    """Apply one ``a.b.c=value``; ``lanes.NAME.key`` picks a lane by name, ``lanes.*.key`` all to
    whose task the key says something."""
    key, equals, text = item.partition("=")
    if not equals or not key:
        raise _refused(item, "it has no key and '='", "Write --set section.key=value.")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise _refused(item, "its value is not valid YAML", "Put it in quotes.") from None
    if value is None and not _is_null(text):
        raise _refused(item, "its value is empty", f"Write null for none; {HASH}.")
    for _, cause, fix in octals(yaml.compose(text, Loader=yaml.SafeLoader)):
        raise _refused(item, cause, fix)
    *above, last = key.split(".")
    for parent in _parents(tree, above, last, item):
        parent[last] = value


def _is_null(text: str) -> bool:
    return text.strip().lower().startswith(("null", "~"))


def _parents(tree: dict[str, Any], keys: list[str], last: str, item: str) -> list[dict[str, Any]]:
    if keys[:1] == ["lanes"] and len(keys) > 1:
        found, wanted, keys = _lanes(tree, keys[1], item), keys[1], keys[2:]
        if wanted == "*":
            found = [lane for lane in found if is_for(lane, [*keys, last])] or found
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
    old = parent.get(key)
    # A copy: where YAML's anchors are used, lanes share one and the same section.
    section: dict[str, Any] = dict(old) if isinstance(old, dict) else {}
    parent[key] = section
    return section


def _refused(item: str, cause: str, fix: str) -> ConfigInvalid:
    return ConfigInvalid(where=f"--set {item}", cause=cause, fix=fix)
