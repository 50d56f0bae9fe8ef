"""Whole and other numbers, for which true and false don't count."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError


def _no_truth_whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


# To YAML `yes` is true, and to Python that is 1.
Whole = Annotated[int, BeforeValidator(_no_truth_whole)]
Number = Annotated[float, BeforeValidator(_no_truth)]
