"""`retry`, `cancel` and `adopt`: small changes to the ledger, beside a running service."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from retouchd.cli.options import (
    ConfigOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
    writer,
)
from retouchd.errors import CalledOff, NoSuchJob, WrongRequest, WrongState
from retouchd.job import AFRESH, CANCELLABLE, Job, Place, State
from retouchd.ledger import Ledger
from retouchd.recording import quarantine, what_stands


def retry(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="JOB...")] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Every job that failed or was set aside.")
    ] = False,
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
) -> None:
    """Try jobs again, with the originals where they lie now. Example: retouchd retry 12"""
    choice = choose(config, root, sets, state)
    ledger = writer(choice.read())
    if not numbers and not failed:
        raise WrongRequest(
            cause="no job is named",
            fix=f"Name jobs by number (`{choice.command('jobs')}` lists them), or use --failed for "
            "all that failed or were set aside.",
        )
    wanted = _named(ledger, numbers or [])
    if failed:
        wanted += ledger.jobs((State.FAILED, State.QUARANTINED))
    for job in wanted:
        try:
            _retry(ledger, job)
        except WrongState as error:
            if not failed:
                raise
            typer.echo(error.message, err=True)
        else:
            typer.echo(f"job {job.id} ({job.name!r}) will be tried again")
    if not wanted:
        typer.echo("nothing to retry")


def _named(ledger: Ledger, numbers: list[int]) -> list[Job]:
    found = []
    for number in numbers:
        job = ledger.job(number)
        if job is None:
            raise NoSuchJob(job=number)
        found.append(job)
    return found


def _retry(ledger: Ledger, job: Job) -> None:
    # Asked again inside, because the service may have gone on with it since.
    with ledger.transaction():
        retry_now(ledger, ledger.job(job.id) or job)


def retry_now(ledger: Ledger, job: Job) -> None:
    """Have a job tried again, inside the caller's transaction. Raises WrongState."""
    if reason := job.not_again:
        raise WrongState(job=job.id, state=job.state, wish=reason)
    # The originals may have been mended where they lie. Retention leaves them while the job is
    # open, and takes them for new ones when an attempt has really begun: it may be cancelled first.
    ledger.unsettle(job.id)
    ledger.change(
        job.id,
        State.READY,
        now=time.time(),
        why="retried by hand",
        next_attempt_at=None,
        completed_at=None,
        **AFRESH,
    )


def cancel(
    numbers: Annotated[list[int], typer.Argument(metavar="JOB...")],
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
) -> None:
    """Don't do jobs; their originals stay where they lie: in the inbox, or in failed/ if they were
    set aside before. Example: retouchd cancel 12"""
    ledger = writer(choose(config, root, sets, state).read())
    for job in _named(ledger, numbers):
        with ledger.transaction():
            state_now = cancel_now(ledger, ledger.job(job.id) or job)
        what = "set aside again" if state_now is State.QUARANTINED else "cancelled"
        typer.echo(f"job {job.id} ({job.name!r}) is {what}; its files stay where they are")


def cancel_now(ledger: Ledger, job: Job) -> State:
    """Cancel a job, inside the caller's transaction; returns its state. What lies in quarantine is
    set aside there again, and a text beside it says so. Raises WrongState."""
    now, why = time.time(), "cancelled by hand"
    if job.state not in CANCELLABLE:
        raise WrongState(job=job.id, state=job.state, wish="cancelled")
    if not any(drop.place is Place.FAILED for drop in job.drops):
        ledger.change(job.id, State.CANCELLED, now=now, why=why, **what_stands(job))
        return State.CANCELLED
    if job.error_file is None:
        quarantine(ledger, job.id, CalledOff(path=job.name, job=job.id), now)
    else:
        # It was not tried again: what the text says holds.
        over = {"completed_at": now, **what_stands(job)}
        ledger.change(job.id, State.QUARANTINED, now=now, why=why, **over)
    return State.QUARANTINED


def adopt(
    lane: Annotated[str, typer.Argument(help="The lane whose folders you replaced on purpose.")],
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
) -> None:
    """Take a lane's folders as they are, after you replaced them. Example: retouchd adopt web"""
    found = choose(config, root, sets, state).read()
    ledger = writer(found)
    chosen = found.lane(lane)
    if chosen is None:
        names = ", ".join(each.name for each in found.lanes)
        raise WrongRequest(cause=f"there is no lane {lane!r}", fix=f"The lanes are {names}.")
    ledger.forget_roots(lane, map(str, chosen.folders.values()))
    typer.echo(f"the folders of lane {lane} will be taken as they are")
