"""Errors that another process described, as errors again."""

from __future__ import annotations

from retouchd.errors.base import Facts, RetouchdError, printable
from retouchd.errors.passing import Unexpected


def from_wire(wire: Facts) -> RetouchdError:
    """Rebuild the error that ``to_wire`` described; whatever else came becomes ``Unexpected``."""
    kind, facts = _known().get(str(wire.get("error"))), wire.get("facts")
    if kind is None or not isinstance(facts, dict):
        return Unexpected(cause=f"a worker process answered {printable(wire)[:200]}")
    return kind(**facts)


def _known() -> dict[str, type[RetouchdError]]:
    found: dict[str, type[RetouchdError]] = {}
    pending = [RetouchdError]
    while pending:
        kind = pending.pop()
        found[kind.__name__] = kind
        pending.extend(kind.__subclasses__())
    return found
