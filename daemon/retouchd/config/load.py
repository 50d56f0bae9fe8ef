"""YAML → Config, with errors that name the line, the key, what is wrong and what would be right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from retouchd.config.complaining import explained
from retouchd.config.overriding import override
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
    """The configuration of ``--root DIR``: an inpaint lane in its sub-folders, and in
    ``inbox/matte`` the inbox of a matte lane that shares the others."""
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
    return _build(tree, None, f"--root {root}", overrides)


def parse(text: str, source: str, overrides: Overrides = ()) -> Config:
    """The configuration in ``text``; ``source`` names it in errors."""
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
    return _build(tree, node, source, overrides)


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


def _build(tree: dict[str, Any], node: yaml.Node | None, source: str, sets: Overrides) -> Config:
    for item in sets:
        override(tree, item)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise explained(error.errors(), tree, node, source, sets) from None
