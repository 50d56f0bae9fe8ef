"""`status`: how the service and its queue are."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from retouchd.cli.options import (
    Choice,
    ConfigOption,
    JsonOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
    ledger_in,
)
from retouchd.config import likely_state
from retouchd.errors import ConfigInvalid
from retouchd.live import read_live
from retouchd.status import Status, read_running, read_status, status_text


def status(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh every second.")] = False,
) -> None:
    """Show the queue, the lanes and what is wrong. Example: retouchd status --watch"""
    choice = choose(config, root, sets, state)
    choice.check_place()
    if as_json:
        typer.echo(json.dumps(_snapshot(choice).to_json(), indent=2))
    elif watch:
        _watch(choice)
    else:
        typer.echo(_text(choice))


def _text(choice: Choice) -> str:
    return "\n".join(status_text(_snapshot(choice), choice.command("retry", "--failed")))


def _snapshot(choice: Choice) -> Status:
    """Raises ConfigInvalid, but not while a service works with what it read before."""
    try:
        found = choice.read()
    except ConfigInvalid as error:
        file = choice.file()
        running = _running(choice.state or likely_state(file), error) if file else None
        if choice.sets or running is None or running.file != str(file):
            raise
        return running
    ledger = ledger_in(found.state)
    try:
        return read_status(found, ledger, time.time())
    finally:
        if ledger:
            ledger.close()


def _running(state: Path, trouble: ConfigInvalid) -> Status | None:
    live = read_live(state)
    if live is None:
        return None  # A ledger that an older service left is not what is wrong.
    ledger = ledger_in(state)
    try:
        return read_running(state, live, ledger, time.time(), trouble)
    finally:
        if ledger:
            ledger.close()


def _watch(choice: Choice) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(refresh_per_second=2) as live:
        try:
            while True:
                live.update(Text(_text(choice)))
                time.sleep(1.0)
        except KeyboardInterrupt:
            return
