"""Configuration: YAML in, frozen and validated sections out."""

from retouchd.config.load import for_root, load, parse
from retouchd.config.sections import (
    Config,
    Device,
    Lane,
    Limits,
    Log,
    Mask,
    Output,
    Pairing,
    Rectangle,
    Retention,
    RetryPolicy,
    Scan,
    Schedule,
)

__all__ = [
    "Config",
    "Device",
    "Lane",
    "Limits",
    "Log",
    "Mask",
    "Output",
    "Pairing",
    "Rectangle",
    "Retention",
    "RetryPolicy",
    "Scan",
    "Schedule",
    "for_root",
    "load",
    "parse",
]
