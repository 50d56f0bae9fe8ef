"""`status`: how the service and its queue are."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from retouchd.cli.options import (
    ConfigOption,
    JsonOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
    reader,
)
from retouchd.config import Config
from retouchd.status import Status, read_status, status_text


def status(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every second.")] = False,
) -> None:
    """Show the queue, the lanes and what is wrong. Example: retouchd status --watch"""
    found = choose(config, root, sets, state).read()
    if as_json:
        typer.echo(json.dumps(_snapshot(found).to_json(), indent=2))
    elif watch:
        _watch(found)
    else:
        typer.echo("\n".join(status_text(_snapshot(found))))


def _snapshot(config: Config) -> Status:
    ledger = reader(config)
    try:
        return read_status(config, ledger, time.time())
    finally:
        if ledger:
            ledger.close()


def _watch(config: Config) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(refresh_per_second=2) as live:
        try:
            while True:
                live.update(Text("\n".join(status_text(_snapshot(config)))))
                time.sleep(1.0)
        except KeyboardInterrupt:
            return
