"""Logging: key=value on a terminal, JSON under systemd; the shell's, and nobody else's."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import Any

import structlog

from retouchd.config import Log
from retouchd.errors import printable

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def structured(log: Log) -> bool:
    """Whether standard error is read by a program."""
    return log.format == "json" or (log.format == "auto" and "JOURNAL_STREAM" in os.environ)


def set_up_logs(log: Log) -> None:
    """Send log lines to standard error in the configured form."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if structured(log)
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=12)
    )
    structlog.configure(
        processors=[
            _printable,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[log.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # watchdog speaks through the standard library; its lost-event warnings matter.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger().handlers[0].addFilter(_worth_saying)


def _worth_saying(record: logging.LogRecord) -> bool:
    """An event that arrives while a watch is being stopped is no error."""
    return "when the thread is inactive" not in record.getMessage()


def _printable(_: Any, __: str, event: Any) -> Any:
    """Names from a share may hold anything; a log line must not be broken by them."""
    return {k: printable(v) if isinstance(v, str) else v for k, v in event.items()}


def say(event: str, *, level: str = "info", **facts: Any) -> None:
    """Log one event with its facts."""
    # A log that nobody reads any more, or on a full disk, must not fail the work.
    with contextlib.suppress(OSError, ValueError):
        structlog.get_logger().log(_LEVELS[level], event, **facts)
