"""The root of all errors, and how a message becomes printable."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

Facts = dict[str, Any]


class RetouchdError(Exception):
    """Something went wrong: {cause}."""

    exit_code: ClassVar[int] = 1
    remedy: ClassVar[str] = "Run the command again with --set log.level=debug and read the log."

    def __init__(self, /, **facts: Any) -> None:
        self.facts: Facts = facts
        super().__init__(_fill(inspect.getdoc(type(self)) or "", facts))

    @property
    def message(self) -> str:
        """What happened, as one paragraph for a person."""
        return str(self)

    @property
    def advice(self) -> str:
        """What to do about it, as one paragraph for a person."""
        return _fill(self.remedy, self.facts)

    def to_wire(self) -> Facts:
        """The error as plain JSON values."""
        return {
            "error": type(self).__name__,
            "facts": {k: _plain(v) for k, v in self.facts.items()},
        }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _fill(template: str, facts: Facts) -> str:
    class Missing(dict[str, Any]):
        def __missing__(self, key: str) -> str:
            return f"<{key}>"

    # Names on a share may not be UTF-8; a message must always be printable.
    shown = {key: printable(value) for key, value in facts.items()}
    # Only the template is unwrapped: two blanks in a file's name are part of it.
    return " ".join(template.split()).format_map(Missing(shown)).strip()


def printable(value: Any) -> str:
    """Any value as text that every terminal, log and text file can take."""
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
