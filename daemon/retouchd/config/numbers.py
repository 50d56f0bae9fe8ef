"""Whole and other numbers, for which true and false don't count."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError


def _no_truth(wanted: Literal["int_type", "float_type"]) -> BeforeValidator:
    """Refuse true and false with the error of any other value that is no such number."""

    def refuse(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticKnownError(wanted)
        return value

    return BeforeValidator(refuse)


# To YAML `yes` is true, and to Python that is 1.
Whole = Annotated[int, _no_truth("int_type")]
Number = Annotated[float, _no_truth("float_type")]
