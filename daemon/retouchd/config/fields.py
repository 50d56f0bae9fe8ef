"""Pure: which section, and which field of it, a key's path leads to."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from retouchd.config.sections import Config
from retouchd.config.written import KeyPath


def section_at(path: KeyPath) -> type[BaseModel]:
    """The section at a path, or the nearest above it."""
    section: type[BaseModel] = Config
    for part in path:
        if isinstance(part, str) and part in section.model_fields:
            section = section_in(section.model_fields[part].annotation) or section
    return section


def field_at(path: KeyPath) -> FieldInfo | None:
    """The field at a path, None where there is none of that name."""
    return section_at(path[:-1]).model_fields.get(str(path[-1]))


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, alone or in a list; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(section_in, get_args(annotation)) if found), None)
