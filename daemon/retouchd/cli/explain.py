"""`explain`: why is this file not done?"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
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
from retouchd.errors import ConfigInvalid
from retouchd.explain import Explanation, Facts
from retouchd.explain import explain as explain_facts
from retouchd.job import Job, Role
from retouchd.live import read_live


def explain(
    path: Annotated[Path, typer.Argument(help="A file in one of the lanes' folders.")],
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a file is not done. Example: retouchd explain /srv/retouch/inbox/photo.jpg"""
    found = choose(config, root, sets, state).read()
    explanation = explain_facts(_gather(found, path))
    if as_json:
        facts = {
            "verdict": explanation.verdict,
            "job": explanation.job,
            "text": explanation.lines,
        }
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(explanation)


def _print(explanation: Explanation) -> None:
    for line in explanation.lines:
        typer.echo(line)


def _gather(config: Config, path: Path) -> Facts:
    name, role, relative = _locate(config, os.path.abspath(path))
    lane = config.lane(name)
    assert lane is not None
    live = read_live(config.state)
    ledger = reader(config)
    exists = os.path.lexists(path)
    jobs: list[Job] = []
    if ledger:
        jobs = ledger.holding(name, role, relative)
        if role == "inbox":
            jobs = [job for job in jobs if _owns(job, relative)]
            # What lies there now is another file than one of that name that was filed away.
            jobs = jobs if jobs or exists else ledger.named(name, relative)
        ledger.close()
    facts = (live or {}).get("lanes", {}).get(name, {})
    return Facts(
        lane=lane,
        role=role,
        path=relative,
        jobs=jobs,
        exists=exists,
        running=live is not None,
        paused=facts.get("paused"),
        now=time.time(),
    )


def _owns(job: Job, path: str) -> bool:
    """Whether a file in the inbox is the job's own, and not its folder's mask."""
    return any(drop.where == path and drop.role is not Role.SHARED_MASK for drop in job.drops)


def _locate(config: Config, path: str) -> tuple[str, str, str]:
    """Lane, role and path below it; the innermost folder counts."""
    best: tuple[str, str, str] | None = None
    longest = -1
    for lane in config.lanes:
        for role, folder in lane.folders.items():
            top = os.path.normpath(folder)
            if path.startswith(top + os.sep) and len(top) > longest:
                best, longest = (lane.name, role, os.path.relpath(path, top)), len(top)
    if best is None:
        folders = ", ".join(str(lane.inbox) for lane in config.lanes)
        raise ConfigInvalid(
            where=f"explain {path}",
            cause="it lies in no lane's folder",
            fix=f"The inboxes are {folders}.",
        )
    return best
