"""`jobs`: what became of each drop."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from retouchd.cli.explain import near_of
from retouchd.cli.options import (
    Choice,
    ConfigOption,
    JsonOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
    reader,
)
from retouchd.config import Config
from retouchd.errors import WrongRequest, printable
from retouchd.job import LIVE, Job, State
from retouchd.ledger import LedgerReader
from retouchd.nearly import Near
from retouchd.waiting import retired, waits_for

_HEADINGS = ("job", "state", "lane", "file", "when")


def jobs(
    config: ConfigOption = None,
    root: RootOption = None,
    state_folder: StateOption = None,
    sets: SetOption = None,
    state: Annotated[
        list[State] | None, typer.Option("--state", help="Only jobs in this state; repeatable.")
    ] = None,
    lane: Annotated[
        str | None, typer.Option("--lane", "-l", help="Only jobs of this lane.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many, newest first; 0: all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first. Example: retouchd jobs --state quarantined

    A job is waiting for its mask, its photo or the end of a copy, ready in the queue, running,
    published (its originals are still to be filed away) or done; failed means that it will be tried
    again by itself, quarantined that it lies in failed/, beside a text that says why.

    On a terminal each job has a line, and below it where its output lies or what is wrong.
    Elsewhere it is one line of six fields with tabs between them, and no heading: number, state,
    lane, file, time of the last change, and that output or reason.
    """
    choice = choose(config, root, sets, state_folder)
    choice.check_place()
    found = choice.read()
    ledger = reader(found)
    if ledger is None:
        _print_none(as_json)
        return
    counts = _counts(found, ledger, lane)
    listed = ledger.jobs(state or list(State), limit or -1, lane)
    if not listed:
        _print_none(as_json)
    elif as_json:
        typer.echo(
            json.dumps([{**job_to_json(job), "why": _why(ledger, job)} for job in listed], indent=2)
        )
    else:
        _print(listed, _results(choice, found, ledger, listed))
    matching = sum(counts[each] for each in state or State)
    for line in _hints(choice, matching, len(listed), state or [], counts):
        typer.echo(line, err=True)


def job_to_json(job: Job) -> dict[str, Any]:
    """A job as plain values, with printable names."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(job)))
    return {
        key: printable(value) if key in ("name", "output", "error_file") and value else value
        for key, value in plain.items()
    }


def _counts(config: Config, ledger: LedgerReader, lane: str | None) -> Mapping[State, int]:
    """Jobs per state, of all lanes or of one; raises WrongRequest where there is no such lane."""
    if lane is None:
        return ledger.counts()
    by_lane = ledger.counts_by_lane()
    known = dict.fromkeys([*(each.name for each in config.lanes), *by_lane])
    if lane not in known:
        fix = f"The lanes are {', '.join(known)}."
        raise WrongRequest(cause=f"there is no lane {lane!r}", fix=fix)
    return by_lane.get(lane) or dict.fromkeys(State, 0)


def _hints(
    choice: Choice, matching: int, shown: int, states: Sequence[State], counts: Mapping[State, int]
) -> list[str]:
    """What the list does not show although somebody may look for it."""
    aside = counts[State.QUARANTINED]
    if shown < matching:
        return [f"{shown} of {matching} jobs; --limit 0 lists all"]
    if states == [State.FAILED] and not shown and aside:
        see = choice.command("jobs", "--state", "quarantined")
        them = "one is" if aside == 1 else f"{aside} are"
        return [f"None will be tried again by itself, but {them} quarantined: see `{see}`."]
    return []


def _results(
    choice: Choice, config: Config, ledger: LedgerReader, listed: Sequence[Job]
) -> list[str]:
    """Of each job, where its output lies, or what keeps it from having one."""
    waiting = {job.lane for job in listed if job.state is State.WAITING}
    near = {lane: near_of(ledger, lane) for lane in waiting}
    return [
        _why(ledger, job) or _result(choice, config, job, near.get(job.lane, Near()))
        for job in listed
    ]


def _why(ledger: LedgerReader, job: Job) -> str | None:
    """Why nothing came of a job; None for one of which something may."""
    if job.state is not State.CANCELLED:
        return None
    changes = ledger.changes(job.id)
    return printable(changes[-1].why or "") if changes else None


def _result(choice: Choice, config: Config, job: Job, near: Near) -> str:
    lane = config.lane(job.lane)
    if lane is None and job.state in LIVE:
        return retired(job, choice.command("cancel", str(job.id)))
    if job.state is State.WAITING:
        return waits_for(job, near)
    if job.error or not job.output:
        return job.error or ""
    folder = lane.folders.get(job.output_role) if lane else None
    return printable(f"{folder}/{job.output}" if folder else job.output)


def _print_none(as_json: bool) -> None:
    if as_json:
        typer.echo("[]")
    else:
        # Whoever reads lines of fields must not take this for one.
        typer.echo("no jobs", err=not _on_terminal())


def _print(listed: Sequence[Job], results: Sequence[str]) -> None:
    if not _on_terminal():
        for job, result in zip(listed, results, strict=True):
            typer.echo("\t".join((*_fields(job, "%Y-%m-%d %H:%M:%S"), result)))
        return
    width = shutil.get_terminal_size().columns
    rows = [_HEADINGS, *(_fields(job, "%m-%d %H:%M:%S") for job in listed)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, result in zip(rows, ["", *results], strict=True):
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())
        for line in _folded(result, width, indent=widths[0] + 2):
            typer.echo(line)


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _fields(job: Job, when: str) -> tuple[str, ...]:
    changed = datetime.fromtimestamp(job.updated_at).astimezone().strftime(when)
    return str(job.id), job.state.value, job.lane, printable(job.name), changed


def _folded(text: str, width: int, indent: int) -> list[str]:
    """The text in lines of a terminal; a path is never broken, so that it can be copied."""
    blank = " " * indent
    return textwrap.wrap(
        text,
        max(width, 2 * indent + 20),
        initial_indent=blank,
        subsequent_indent=blank,
        break_long_words=False,
        break_on_hyphens=False,
    )
