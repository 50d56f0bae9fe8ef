"""The sections that say how the service runs, whatever its lanes do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from retouchd.config.numbers import Whole
from retouchd.config.section import Section
from retouchd.config.units import Duration

_Use = Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")


class Log(Section):
    """Where and how much is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "keyvalue", "json"] = "auto"


class Device(Section):
    """What the models run on."""

    use: Annotated[str, _Use] = "auto"
    require_gpu: bool = False
    threads: Literal["auto"] | Annotated[Whole, Field(ge=1, le=512)] = "auto"


class Scan(Section):
    """When a dropped file counts as there, and how often folders are listed."""

    settle: Duration = 2.0
    incomplete_after: Duration = 600.0
    local: Duration = 300.0
    remote: Duration = 15.0
    watch: Literal["auto", "events", "scan"] = "auto"
    answer_within: Duration = 60.0


class RetryPolicy(Section):
    """How long a job that failed for a passing reason is tried again."""

    attempts: Annotated[Whole, Field(ge=1, le=100)] = 6
    crashes: Annotated[Whole, Field(ge=1, le=10)] = 2
    first: Duration = 5.0
    longest: Duration = 1800.0
