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
from retouchd.errors import ConfigInvalid, NoSuchJob, WrongState
from retouchd.job import AFRESH, CANCELLABLE, RETRYABLE, Job, Place, Role, State
from retouchd.ledger import Ledger


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
    ledger = writer(choose(config, root, sets, state).read())
    if not numbers and not failed:
        raise ConfigInvalid(
            where="retry",
            cause="it names no job",
            fix="Name jobs by number, or use --failed for all of them.",
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
        _retry_now(ledger, ledger.job(job.id) or job)


def _retry_now(ledger: Ledger, job: Job) -> None:
    own = [drop for drop in job.drops if drop.role is not Role.SHARED_MASK]
    reason = None
    if job.state not in RETRYABLE:
        reason = "tried again"
    elif any(drop.next_place for drop in own):
        reason = "tried again before its files have been moved"
    elif not own or any(drop.place is Place.GONE for drop in own):
        reason = "tried again, because its originals are gone"
    elif not job.complete and any(drop.place is not Place.INBOX for drop in own):
        reason = "tried again: drop a photo together with its mask instead"
    if reason:
        raise WrongState(job=job.id, state=job.state, wish=reason)
    # The originals may have been mended where they lie, and retention must leave them.
    ledger.unsettle(job.id)
    for drop in own:
        if drop.place is Place.FAILED:
            ledger.release_kept(job.lane, "failed", drop.where)
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
    """Don't do jobs; their originals stay in the inbox, untouched. Example: retouchd cancel 12"""
    ledger = writer(choose(config, root, sets, state).read())
    for job in _named(ledger, numbers):
        if job.state not in CANCELLABLE:
            raise WrongState(job=job.id, state=job.state, wish="cancelled")
        ledger.change(job.id, State.CANCELLED, now=time.time(), why="cancelled by hand")
        typer.echo(f"job {job.id} ({job.name!r}) is cancelled; its files stay where they are")


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
        raise ConfigInvalid(
            where="adopt", cause=f"there is no lane {lane!r}", fix=f"The lanes are {names}."
        )
    ledger.forget_roots(lane, map(str, chosen.folders.values()))
    typer.echo(f"the folders of lane {lane} will be taken as they are")
