"""The sections of the configuration; each part of the program gets only its own.

Every key, its default and its meaning also stand in ``config.example.yaml``; a test keeps the two
equal.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from retouchd.config.folders import check_apart, check_names, check_outside
from retouchd.config.matte import Matte
from retouchd.config.numbers import Number, Whole
from retouchd.config.running import Device, Log, RetryPolicy, Scan
from retouchd.config.section import Section
from retouchd.config.units import Duration, Hours, PixelCount, Size
from retouchd.naming import check_template, fixed_format

_DAY = 86400.0
_ROLES = ("inbox", "outbox", "archive", "failed")
_REVIEW = "review"
_MODELS = {"inpaint": "patchmatch", "matte": "cvunet-compact"}
"""What a lane of each task uses where it names no model."""
_Name = Field(
    pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$",
    description="up to 40 of a-z, 0-9, - and _, beginning with a letter or digit",
)


class Rectangle(Section):
    """A fixed area to repair in every photo of a lane, measured in pixels from a corner."""

    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"
    x: Annotated[Whole, Field(ge=0)] = 0
    y: Annotated[Whole, Field(ge=0)] = 0
    width: Annotated[Whole, Field(ge=1)]
    height: Annotated[Whole, Field(ge=1)]


class Pairing(Section):
    """Which mask belongs to which photo."""

    folder_mask: bool = True
    alpha_holes: bool = False
    rectangles: tuple[Rectangle, ...] = ()
    orphan_after: Duration = _DAY


class Mask(Section):
    """How a mask is read."""

    threshold: Annotated[Whole, Field(ge=0, le=254)] = 127
    dilate: Annotated[Whole, Field(ge=0, le=500)] = 10
    feather: Annotated[Whole, Field(ge=0, le=500)] = 4
    max_coverage: Annotated[Number, Field(gt=0, le=1)] = 0.6
    invert: bool = False
    resize: bool = False


class Match(Section):
    """What of a fill is fitted to its surroundings; nothing where ``blend`` is hard."""

    colour: bool = True
    grain: bool = False


class Output(Section):
    """What comes out, and where."""

    path: str = "{date:%Y-%m-%d}/{relative_dir}/{stem}{ext}"
    format: Literal["same", "png", "jpeg", "webp", "avif"] = "same"
    quality: Literal["same"] | Annotated[Whole, Field(ge=1, le=100)] = "same"
    strip_metadata: bool = False
    duplicates: Literal["process", "reuse"] = "process"

    @field_validator("path")
    @classmethod
    def _template(cls, value: str) -> str:
        check_template(value)
        return value

    @model_validator(mode="after")
    def _one_format(self) -> Output:
        named = fixed_format(self.path)
        if named and self.format not in ("same", named):
            raise ValueError(
                f"path makes {named} files, but format is {self.format}; end path in {{ext}}"
            )
        return self

    def work(self) -> dict[str, Any]:
        """What decides the output's bytes; a fixed ending of the path decides the format."""
        kind = fixed_format(self.path) or self.format
        return {"format": kind, **self.model_dump(include={"quality", "strip_metadata"})}


class Limits(Section):
    """What a single drop may cost."""

    max_pixels: PixelCount = 200_000_000
    max_bytes: Size = 1 << 30


class Keep(Section):
    """How long, and how much, of one class of files is kept."""

    max_age: Duration | None = 90 * _DAY
    max_size: Size | None = None


class Retention(Section):
    """What is pruned."""

    outputs: Keep = Keep()
    archive: Keep = Keep()
    failed: Keep = Keep()
    min_free: Size | None = None
    every: Duration = 3600.0
    brake: Annotated[Number, Field(gt=0, le=1)] = 0.5


class Schedule(Section):
    """When a lane works; jobs wait outside these hours."""

    active: Hours | None = None

    def allows(self, now: datetime) -> bool:
        """Whether the lane works at this local time."""
        if self.active is None:
            return True
        start, end = self.active
        clock = now.time()
        return start <= clock < end if start < end else clock >= start or clock < end


class Lane(Section):
    """One watched inbox folder with one task, one model and one set of options."""

    name: Annotated[str, _Name]
    task: Literal["inpaint", "matte"] = "inpaint"
    model: str
    strategy: Literal["auto", "whole", "crop", "tile", "resize"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    blend: Literal["feather", "hard"] = "feather"
    match: Match = Match()
    matte: Matte = Matte()
    root: Path | None = None
    inbox: Path
    outbox: Path
    review: Path | None = None
    archive: Path
    failed: Path
    ignore: tuple[str, ...] = ()
    pairing: Pairing = Pairing()
    mask: Mask = Mask()
    output: Output = Output()
    limits: Limits = Limits()
    retention: Retention = Retention()
    schedule: Schedule = Schedule()

    @model_validator(mode="before")
    @classmethod
    def _by_task_and_root(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        given = {key: wish for key, wish in value.items() if wish is not None}
        matte = given.get("task") == "matte"
        first: dict[str, object] = {"model": _MODELS["matte" if matte else "inpaint"]}
        if root := given.get("root"):
            roles = (*_ROLES, _REVIEW) if matte else _ROLES
            first |= {role: Path(str(root)) / role for role in roles}
        return {**first, **given}

    @field_validator("strategy", "blend", "match")
    @classmethod
    def _for_inpaint(cls, value: object, info: ValidationInfo) -> object:
        key = str(info.field_name)
        # What `config show` prints has every key of every lane, with its default.
        if info.data.get("task") == "matte" and value != cls.model_fields[key].default:
            raise ValueError(f"you set {key}, but the task is matte; leave {key} out")
        return value

    @field_validator("matte")
    @classmethod
    def _for_matte(cls, value: Matte, info: ValidationInfo) -> Matte:
        given = value.model_fields_set
        whole = value == Matte() and given == Matte.model_fields.keys()
        if info.data.get("task") == "inpaint" and given and not whole:
            raise ValueError(
                f"you set {', '.join(f'matte.{key}' for key in sorted(given))}, but the task is "
                "inpaint; add task: matte, or leave matte out"
            )
        return value

    @model_validator(mode="after")
    def _fits_its_task(self) -> Lane:
        if self.task == "inpaint":
            if self.review is not None:
                raise ValueError(
                    "review is a folder of matte lanes; add task: matte, or leave review out"
                )
            return self
        if self.review is None:
            raise ValueError("a matte lane needs a folder review, or a root to have it in")
        if self.pairing.rectangles or self.pairing.alpha_holes:
            raise ValueError("rectangles and alpha_holes say what to repair; leave them out")
        self.matte.check_format(fixed_format(self.output.path) or self.output.format)
        return self

    @field_validator("root", "inbox", "outbox", "review", "archive", "failed")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError(f"{str(value)!r} must be an absolute path, like /srv/retouch")
        return value

    def work(self) -> dict[str, Any]:
        """What a job is done by, as plain values: it is stored with the job and decides whether
        two drops are the same work."""
        if self.task == "matte":
            return {
                "task": self.task,
                "precision": self.precision,
                "mask": self.mask.model_dump(),
                "matte": self.matte.work(),
                "output": self.output.work(),
                "max_pixels": self.limits.max_pixels,
                "max_bytes": self.limits.max_bytes,
            }
        return {
            "task": self.task,
            "strategy": self.strategy,
            "precision": self.precision,
            "blend": self.blend,
            "match": self.match.model_dump(),
            "mask": self.mask.model_dump(),
            "rectangles": [r.model_dump() for r in self.pairing.rectangles],
            "output": self.output.work(),
            "max_pixels": self.limits.max_pixels,
            "max_bytes": self.limits.max_bytes,
        }

    @property
    def folders(self) -> dict[str, Path]:
        """Role (inbox, outbox, archive, failed, and review of a matte lane) → folder."""
        folders = {role: getattr(self, role) for role in (*_ROLES, _REVIEW)}
        return {role: folder for role, folder in folders.items() if folder is not None}


class Config(Section):
    """The whole configuration."""

    state: Path = Path("/var/lib/retouchd")
    models: Path | None = None
    hands: Literal["auto"] | Annotated[Whole, Field(ge=1, le=64)] = "auto"
    drain: Duration = 30.0
    log: Log = Log()
    device: Device = Device()
    scan: Scan = Scan()
    retry: RetryPolicy = RetryPolicy()
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _lanes_apart(self) -> Config:
        check_names([lane.name for lane in self.lanes])
        folders = {lane.name: lane.folders for lane in self.lanes}
        check_apart(folders)
        check_outside("state", self.state, folders)
        check_outside("models", self.models_folder, folders)
        return self

    @property
    def models_folder(self) -> Path:
        """Where installed weights and their manifest live."""
        return self.models or self.state / "models"

    def lane(self, name: str) -> Lane | None:
        """The lane of that name, if it is still configured."""
        return next((lane for lane in self.lanes if lane.name == name), None)
