"""YAML → Config, with errors that name the line, the key, what is wrong and what would be right."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from retouchd.config.complaining import explained
from retouchd.config.emptiness import refuse_empty
from retouchd.config.octal import refuse_octal
from retouchd.config.overriding import override
from retouchd.config.sections import Config
from retouchd.config.tasks import is_for
from retouchd.config.written import Written
from retouchd.errors import ConfigInvalid

Overrides = Sequence[str]


def load(path: Path, overrides: Overrides = ()) -> Config:
    """The configuration in the file at ``path``; raises ConfigInvalid."""
    return checked(read(path, overrides))


def read(path: Path, overrides: Overrides = ()) -> Written:
    """What the file at ``path`` says, for ``checked``; raises ConfigInvalid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(
            where=path,
            cause=f"the file can't be read ({error})",
            fix="Check the path and its permissions; config.example.yaml is a good start.",
        ) from None
    return _written(text, str(path), overrides)


def likely_state(path: Path) -> Path:
    """The state folder that a file means which can't be used as it is; a guess."""
    usual: Path = Config.model_fields["state"].default
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return usual
    try:
        tree = yaml.safe_load(text)
        state = tree.get("state") if isinstance(tree, dict) else None
    except (yaml.YAMLError, ValueError, RecursionError):
        line = re.search(r"^state:\s*(['\"]?)(.+?)\1\s*(#.*)?$", text, re.MULTILINE)
        state = line[2] if line else None
    return Path(state) if isinstance(state, str) else usual


def for_root(root: Path, overrides: Overrides = (), state: Path | None = None) -> Config:
    """The configuration of ``--root DIR``: an inpaint lane in its sub-folders, and in
    ``inbox/matte`` the inbox of a matte lane that shares the others."""
    return checked(written_for_root(root, overrides, state))


def written_for_root(root: Path, overrides: Overrides = (), state: Path | None = None) -> Written:
    """What ``--root DIR`` means, for ``checked``; raises ConfigInvalid."""
    root = Path(os.path.abspath(root))
    matte = {
        "name": "matte",
        "task": "matte",
        "root": str(root),
        "inbox": str(root / "inbox" / "matte"),
        "output": {"path": "{date:%Y-%m-%d}/matte/{relative_dir}/{stem}{ext}"},
    }
    tree = {
        "state": str(state or root / ".retouchd"),
        "lanes": [{"name": "inpaint", "root": str(root)}, matte],
    }
    return _overridden(Written(tree, None, f"--root {root}", overrides))


def parse(text: str, source: str, overrides: Overrides = ()) -> Config:
    """The configuration in ``text``; ``source`` names it in errors."""
    return checked(_written(text, source, overrides))


def checked(written: Written) -> Config:
    """The configuration that was written; raises ConfigInvalid."""
    try:
        return Config.model_validate(written.tree)
    except ValidationError as error:
        raise explained(error.errors(), written) from None


def _written(text: str, source: str, overrides: Overrides) -> Written:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_twice(node, source)
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise ConfigInvalid(
            where=where,
            cause=f"it is not valid YAML ({problem})",
            fix="Check the indentation and the quotes around that line.",
        ) from None
    if not isinstance(tree, dict):
        raise ConfigInvalid(
            where=source, cause="it holds no settings", fix="Start from config.example.yaml."
        )
    written = Written(tree, node, source, overrides)
    refuse_empty(written)
    refuse_octal(written)
    _leave_out_others(tree, node)
    return _overridden(written)


def _refuse_twice(node: yaml.Node | None, source: str) -> None:
    """YAML takes the last of two equal keys in silence; a person meant both."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key.value, str):
                continue
            if key.value in seen:
                raise ConfigInvalid(
                    where=f"{source}, line {key.start_mark.line + 1}, {key.value}",
                    cause="this key is there twice",
                    fix="Put all of it under one of them.",
                )
            seen.add(key.value)
            _refuse_twice(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(item, source)


def _leave_out_others(tree: dict[str, Any], node: yaml.Node | None) -> None:
    """What lanes of both tasks take over from one anchor (`<<: *defaults`) says to each of them
    only what is for its task; what stands in a lane itself is meant."""
    lanes = tree.get("lanes")
    for lane, own in zip(lanes if isinstance(lanes, list) else [], _lanes(node), strict=False):
        if isinstance(lane, dict) and isinstance(own, yaml.MappingNode):
            meant = {key.value for key, _ in own.value}
            for key in [key for key in lane if key not in meant]:
                _leave_out_here(lane, key)


def _leave_out_here(lane: dict[str, Any], key: str) -> None:
    """Take a key out of a lane to whose task it says nothing, or those keys below it."""
    section = lane[key]
    if not is_for(lane, [key]):
        del lane[key]
    elif isinstance(section, dict):
        # A copy: other lanes share the same section.
        lane[key] = {name: v for name, v in section.items() if is_for(lane, [key, name])}


def _lanes(node: yaml.Node | None) -> list[yaml.Node]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    found = next((value for key, value in pairs if key.value == "lanes"), None)
    return found.value if isinstance(found, yaml.SequenceNode) else []


def _overridden(written: Written) -> Written:
    for item in written.sets:
        override(written.tree, item)
    return written
