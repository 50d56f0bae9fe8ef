"""The statements of ledger.sql, by name, and its migrations, by number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_HEAD = re.compile(r"^-- (migration|name): (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Statements:
    """migrations: SQL scripts, the first leads from nothing to version 1. named: one statement."""

    migrations: tuple[str, ...]
    named: Mapping[str, str]


def load_statements() -> Statements:
    """Read ledger.sql."""
    text = files("retouchd.ledger").joinpath("ledger.sql").read_text(encoding="utf-8")
    parts = _HEAD.split(text)[1:]
    found = list(zip(parts[0::3], parts[1::3], parts[2::3], strict=True))
    migrations = {int(name): body for kind, name, body in found if kind == "migration"}
    return Statements(
        migrations=tuple(migrations[number] for number in sorted(migrations)),
        named={name: body.strip() for kind, name, body in found if kind == "name"},
    )
