"""Numbers with a 0 in front: to YAML `010` is 8."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from retouchd.config.written import KeyPath, Written, scalars
from retouchd.errors import ConfigInvalid


def refuse_octal(written: Written) -> None:
    """Raise ConfigInvalid for the first number that YAML counts in eights."""
    for path, cause, fix in octals(written.node):
        raise ConfigInvalid(where=written.place(path), cause=cause, fix=fix)


def octals(node: yaml.Node | None) -> Iterator[tuple[KeyPath, str, str]]:
    """The path of each number that YAML counts in eights, what is wrong, and what to do. ``07`` is
    seven either way."""
    for path, scalar in scalars(node):
        if not str(scalar.tag).endswith(":int"):
            continue
        if number := re.fullmatch(r"([-+]?)0[0_]*([1-7][0-7_]*[0-7][0-7_]*)", scalar.value):
            text = scalar.value[:40]
            yield (
                path,
                f"{text} begins with 0, so YAML counts it in eights and not in tens",
                f"Write {(number[1] + number[2])[:40]}; text needs quotes, like '{text}'.",
            )
