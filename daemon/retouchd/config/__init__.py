"""Configuration: YAML in, frozen and validated sections out."""

from retouchd.config.load import (
    checked,
    for_root,
    likely_state,
    load,
    parse,
    read,
    written_for_root,
)
from retouchd.config.running import Device, Log, RetryPolicy, Scan
from retouchd.config.sections import (
    Config,
    Lane,
    Limits,
    Mask,
    Output,
    Pairing,
    Rectangle,
    Retention,
    Schedule,
)
from retouchd.config.written import KeyPath, Written

__all__ = [
    "Config",
    "Device",
    "KeyPath",
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
    "Written",
    "checked",
    "for_root",
    "likely_state",
    "load",
    "parse",
    "read",
    "written_for_root",
]
