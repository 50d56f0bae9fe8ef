"""`jobs`: a table of jobs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

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
from retouchd.errors import printable
from retouchd.job import Job, State


def jobs(
    config: ConfigOption = None,
    root: RootOption = None,
    state_folder: StateOption = None,
    sets: SetOption = None,
    state: Annotated[
        list[State] | None, typer.Option("--state", help="Only jobs in this state.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first. Example: retouchd jobs --state failed"""
    ledger = reader(choose(config, root, sets, state_folder).read())
    found = ledger.jobs(state or list(State), limit) if ledger else []
    if as_json:
        typer.echo(json.dumps([job_to_json(job) for job in found], indent=2))
    elif found:
        _table(found)
    else:
        typer.echo("no jobs")


def job_to_json(job: Job) -> dict[str, Any]:
    """A job as plain values, with printable names."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(job)))
    return {
        key: printable(value) if key in ("name", "output", "error_file") and value else value
        for key, value in plain.items()
    }


def _table(found: list[Job]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("job", "state", "lane", "file", "when", "result or reason"):
        table.add_column(column, overflow="fold")
    for job in found:
        when = datetime.fromtimestamp(job.updated_at).astimezone().strftime("%m-%d %H:%M:%S")
        result = job.error or printable(job.output or "")
        row = (str(job.id), job.state.value, job.lane, printable(job.name), when, result)
        table.add_row(*row)
    Console(markup=False).print(table)
