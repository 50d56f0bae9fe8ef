"""What a matte lane makes of a photo: which pictures, how tidy, and on which canvas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from retouchd.config.colours import Colour
from retouchd.config.numbers import Number, Whole
from retouchd.config.section import Section

_Share = Annotated[Number, Field(gt=0, le=1)]
_Pixels = Annotated[Whole, Field(ge=0, le=500)]
_Side = Annotated[Whole, Field(ge=1, le=20_000)]


def _two_sides(value: Any) -> Any:
    if value is not None and not (isinstance(value, list | tuple) and len(value) == 2):
        raise ValueError(f"size {value!r} should be a width and a height, like [2000, 2000]")
    return value


_Size = Annotated[tuple[_Side, _Side] | None, BeforeValidator(_two_sides)]


class Matte(Section):
    """How a cut-out is finished, placed and judged; the keys are those of ``Finish`` and ``Canvas``
    and mean the same."""

    output: Literal["auto", "rgba", "alpha", "composite", "all"] = "auto"
    bg_color: Colour | None = None
    background: Path | None = None
    crop: Literal["none", "tight", "square"] = "none"
    margin: Annotated[Number, Field(ge=0, le=2)] = 0.05
    size: _Size = None
    fill: _Share = 0.85
    despill: bool = True
    alpha_threshold: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    feather_edge: _Pixels = 0
    erode_kernel: _Pixels = 0
    bilateral: Annotated[Whole, Field(ge=0, le=50)] = 0
    keep_largest: bool = False
    min_area: Annotated[Whole, Field(ge=0)] = 0
    review_below: Annotated[Number, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _one_background(self) -> Matte:
        if self.bg_color is not None and self.background is not None:
            raise ValueError("bg_color and background exclude each other; keep one")
        if self.background is not None and not self.background.is_absolute():
            raise ValueError(f"background {str(self.background)!r} must be an absolute path")
        if self.output == "composite" and not self._behind:
            raise ValueError("a composite needs a bg_color or a background")
        return self

    @property
    def _behind(self) -> bool:
        return self.bg_color is not None or self.background is not None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Of rgba, alpha and composite those that are made, the one that matters most first."""
        if self.output == "auto":
            return ("composite",) if self._behind else ("rgba",)
        if self.output == "all":
            return ("rgba", "alpha", *(("composite",) if self._behind else ()))
        return (self.output,)

    def check_format(self, format: str) -> None:
        """Raise ValueError for a picture format (or ``same``) that can't hold what is asked for."""
        if format == "jpeg" and self.outputs[0] == "rgba":
            instead = "matte.output composite" if self._behind else "set matte.bg_color"
            raise ValueError(
                f"a JPEG has no transparency; use output.format png or webp, or {instead}"
            )

    def work(self) -> dict[str, Any]:
        """What decides a cut-out's bytes, as plain values."""
        values = self.model_dump(mode="json", exclude={"output", "review_below"})
        return {**values, "outputs": list(self.outputs), "review_below": self.review_below}
