"""`explain`: why is this file not done?"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
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
    reader,
)
from retouchd.config import Config, Lane
from retouchd.errors import WrongRequest
from retouchd.explain import Command, Explanation, Facts, explain_retired
from retouchd.explain import explain as explain_facts
from retouchd.job import Job, Role, State
from retouchd.ledger import LedgerReader
from retouchd.live import read_live
from retouchd.nearly import Near, near_misses
from retouchd.waiting import missing

_Place = tuple[Lane, str, str]


def explain(
    path: Annotated[Path, typer.Argument(help="A file in one of the lanes' folders.")],
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a file is not done. Example: retouchd explain /srv/retouch/inbox/photo.jpg

    Exit code 2 means that there is no such file, and that the ledger knows none either.
    """
    choice = choose(config, root, sets, state)
    explanation = _explain(choice, path)
    if as_json:
        facts = {
            "verdict": explanation.verdict,
            "job": explanation.job,
            "text": explanation.lines,
        }
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(explanation)
    if explanation.verdict == "missing":
        raise typer.Exit(2)


def _print(explanation: Explanation) -> None:
    for line in explanation.lines:
        typer.echo(line)


def _explain(choice: Choice, path: Path) -> Explanation:
    """The answer; raises WrongRequest for what is no file of a lane."""
    config, command = choice.read(), choice.command
    absolute = os.path.abspath(path)
    if os.path.isdir(path):
        raise WrongRequest(
            cause=f"{absolute} is a folder",
            fix=f"Name a file in it; `{command('jobs')}` lists them all.",
        )
    ledger = reader(config)
    try:
        places, exists = _places(config, absolute), os.path.lexists(path)
        if places:
            # A name that one lane freed another may have taken since: the newest job's it is.
            facts = max(
                (
                    _gather(config, ledger, place, exists=exists, command=command)
                    for place in places
                ),
                key=lambda facts: max((job.id for job in facts.jobs), default=0),
            )
            # What lies in an inbox is its lane's to take up, whoever knew it before.
            if facts.jobs or (exists and facts.role == "inbox"):
                return explain_facts(facts)
        if job := _of_retired(config, ledger, absolute):
            return explain_retired(job, command)
    finally:
        if ledger:
            ledger.close()
    if not places:
        folders = ", ".join(str(lane.inbox) for lane in config.lanes)
        raise WrongRequest(
            cause=f"{absolute} lies in no lane's folder", fix=f"The inboxes are {folders}."
        )
    return explain_facts(facts)


def _gather(
    config: Config, ledger: LedgerReader | None, place: _Place, *, exists: bool, command: Command
) -> Facts:
    lane, role, relative = place
    live = read_live(config.state)
    jobs: list[Job] = []
    near = Near()
    if ledger:
        jobs = ledger.holding(lane.name, role, relative)
        if role == "inbox":
            jobs = [job for job in jobs if _owns(job, relative)]
            # What lies there now is another file than one of that name that was filed away.
            jobs = jobs if jobs or exists else ledger.named(lane.name, relative)
        if jobs and jobs[0].state is State.WAITING:
            near = near_of(ledger, lane.name)
    facts = (live or {}).get("lanes", {}).get(lane.name, {})
    return Facts(
        lane=lane,
        role=role,
        path=relative,
        jobs=jobs,
        exists=exists,
        running=live is not None,
        paused=facts.get("paused"),
        stuck=_stuck((live or {}).get("ledger") or {}),
        now=time.time(),
        near=near,
        command=command,
        gone=bool(ledger and jobs and _is_gone(ledger, lane, jobs[0])),
    )


def _is_gone(ledger: LedgerReader, lane: Lane, job: Job) -> bool:
    """Whether retention does not know the job's output any more, and it is not there."""
    role = "outputs" if job.output_role == "outbox" else job.output_role
    if job.output is None or ledger.keeper(lane.name, role, job.output) is not None:
        return False
    return not os.path.lexists(lane.folders.get(job.output_role, lane.outbox) / job.output)


def _stuck(ledger: Mapping[str, str]) -> str | None:
    return f"{ledger['trouble']} {ledger.get('remedy', '')}" if ledger.get("trouble") else None


def near_of(ledger: LedgerReader, lane: str) -> Near:
    """Which of a lane's waiting files are probably meant for which."""
    waiting = ledger.jobs((State.WAITING,), lane=lane)
    return near_misses(job.name for job in waiting if missing(job))


def _owns(job: Job, path: str) -> bool:
    """Whether a file in the inbox is the job's own, and not its folder's mask."""
    return any(drop.where == path and drop.role is not Role.SHARED_MASK for drop in job.drops)


def _places(config: Config, path: str) -> list[_Place]:
    """Lane, role and path below it; the innermost folder counts, for each lane that has it."""
    found: list[_Place] = []
    longest = 0
    for lane in config.lanes:
        for role, folder in lane.folders.items():
            top = os.path.normpath(folder)
            if not path.startswith(top + os.sep) or len(top) < longest:
                continue
            if len(top) > longest:
                found, longest = [], len(top)
            found.append((lane, role, os.path.relpath(path, top)))
    return found


def _of_retired(config: Config, ledger: LedgerReader | None, path: str) -> Job | None:
    """The newest job that speaks of a path in a folder of a lane that is no longer configured."""
    for folder in map(str, Path(path).parents):
        row = ledger.root_at(folder) if ledger else None
        if ledger and row and config.lane(row.lane) is None:
            relative = os.path.relpath(path, folder)
            found = ledger.holding(row.lane, row.role, relative)
            found = found or (ledger.named(row.lane, relative) if row.role == "inbox" else [])
            return found[0] if found else None
    return None
