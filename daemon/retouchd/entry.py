"""One model's entry in a manifest: what may be written there, and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from retouchd.fit import Fit
from retouchd.onnx_contract import Activation, Layout, OnnxContract, Scale, Three

Architecture = Literal["lama", "patchmatch", "classical", "flat", "cvunet", "onnx", "trimap"]
Task = Literal["inpaint", "matte"]
Side = Annotated[int, Field(ge=32, le=4096)]

WEIGHTLESS: tuple[Architecture, ...] = ("patchmatch", "classical", "flat", "trimap")
LARGEST = 1024  # px, where an entry says nothing else
GEOMETRY = {"size", "short_side", "multiple_of", "resize"}  # of an input

_MATTING: tuple[Architecture, ...] = ("cvunet", "onnx", "trimap")


def task_of(architecture: Architecture) -> Task:
    """What models of an architecture are for."""
    return "matte" if architecture in _MATTING else "inpaint"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Input(_Part):
    """How a photo becomes a matting network's input; see ``fit.Fit`` and ``OnnxContract``.

    Either ``size`` or ``short_side``, in pixels. resize: "fit" where there is a ``short_side``,
    else "pad", unless something else is said. mean, std: one number or three.
    """

    name: str | None = None
    size: Side | None = None
    short_side: Side | None = None
    multiple_of: Annotated[int, Field(ge=1, le=256)] = 1
    resize: Literal["squash", "fit", "pad"] | None = None
    scale: Scale = 1 / 255
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    layout: Layout = "nchw"

    @field_validator("scale", mode="before")
    @classmethod
    def _is_factor(cls, value: Any) -> Any:
        if value == "max" or (_is_number(value) and value > 0):
            return value
        raise ValueError(
            "it is what samples of 0 to 255 are multiplied with, or max for one over the "
            "picture's own largest sample"
        )

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _for_each_colour(cls, value: Any) -> Any:
        return (value,) * 3 if _is_number(value) else value

    @field_validator("std")
    @classmethod
    def _is_divisor(cls, value: Three) -> Three:
        if min(value) <= 0:
            raise ValueError("each is divided by, and has to be above 0")
        return value

    @model_validator(mode="after")
    def _has_one_size(self) -> Input:
        side = self.size or self.short_side
        if side is None or (self.size and self.short_side):
            raise ValueError("give either size or short_side")
        if self.short_side and self.resize not in (None, "fit"):
            raise ValueError(f"short_side goes with resize: fit; give size for {self.resize}")
        if side % self.multiple_of:
            raise ValueError(f"{side} is not a multiple of {self.multiple_of}")
        return self

    @property
    def fit(self) -> Fit:
        """Its geometry."""
        resize = self.resize or ("fit" if self.short_side else "pad")
        return Fit(self.size, self.short_side, self.multiple_of, resize)


class Output(_Part):
    """How an ONNX network's output becomes an alpha; see ``OnnxContract``."""

    name: str | None = None
    activation: Activation = "none"
    stretch: bool = False


class Entry(_Part):
    """One model of a manifest: built in, installed (``file``), or to be added from its ``url``.

    sha256, md5: hexadecimal, of ``file`` or of what ``url`` leads to. largest: see ModelSpec.
    input, output: of an ONNX network; a cvunet may have the sizes of an input. second_opinion: of a
    small network for matting: a plain backdrop may know better.
    """

    architecture: Architecture
    file: str | None = None
    url: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")] | None = None
    licence: str = ""
    source: str = ""
    contract: str = ""
    notes: str = ""
    largest: Annotated[int, Field(ge=256, le=LARGEST)] = LARGEST
    input: Input | None = None
    output: Output = Output()
    second_opinion: bool = False

    @model_validator(mode="after")
    def _weights_are_pinned(self) -> Entry:
        if self.architecture in WEIGHTLESS:
            if self.file or self.sha256 or self.url or self.md5:
                raise ValueError(
                    f"{self.architecture} has no weights; remove file, url, sha256 and md5"
                )
        elif self.file and (self.url or self.md5):
            raise ValueError("file excludes url and md5; where it came from is its source")
        elif not self.url and not (self.file and self.sha256):
            raise ValueError("file and sha256 are both needed, or a url to add it from")
        return self

    @model_validator(mode="after")
    def _pictures_are_described(self) -> Entry:
        if self.architecture == "onnx":
            if self.input is None:
                raise ValueError("onnx needs an input, at least its size or short_side")
        elif self.output != Output():
            raise ValueError(f"output is for onnx; {self.architecture} has its own")
        elif self.input and self.architecture != "cvunet":
            raise ValueError(f"input is for onnx and cvunet; {self.architecture} has its own")
        elif self.input and (odd := self.input.model_fields_set - GEOMETRY):
            raise ValueError(f"input.{min(odd)} is for onnx; cvunet has its own")
        return self

    def beside(self, manifest: Path) -> Entry:
        """The same, its file where the manifest lies."""
        here = {"file": str(manifest.with_name(self.file))} if self.file else {}
        return self.model_copy(update=here)

    @property
    def usable(self) -> bool:
        """Whether a lane can use it as it stands."""
        return self.url is None

    @property
    def fit(self) -> Fit | None:
        """The geometry of a matting network's pictures; None for anything else."""
        if self.input:
            return self.input.fit
        if self.architecture != "cvunet":
            return None
        return Fit(size=512, resize="pad")

    @property
    def onnx(self) -> OnnxContract | None:
        """What an ONNX network expects and gives; None for anything else."""
        if self.architecture != "onnx" or self.input is None:
            return None
        return OnnxContract(
            input_name=self.input.name,
            **self.input.model_dump(include={"scale", "mean", "std", "layout"}),
            output_name=self.output.name,
            **self.output.model_dump(include={"activation", "stretch"}),
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
