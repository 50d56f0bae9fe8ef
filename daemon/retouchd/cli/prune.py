"""`prune`: delete what retention says, now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from retouchd.cli.options import (
    ConfigOption,
    JsonOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
    writer,
)
from retouchd.config import Lane
from retouchd.config.units import show_size
from retouchd.errors import RetouchdError, TransientError, printable

if TYPE_CHECKING:
    from retouchd.retention import Decision

_Row = dict[str, object]


def prune(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only list what would be deleted.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Delete even if the clock seems to have jumped.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete files that are older than their lane keeps them. Example: retouchd prune --dry-run"""
    found = choose(config, root, sets, state).read()
    ledger = writer(found)
    # Only now: `status` and the others shall not wait for what this needs.
    from retouchd.hands import Hands
    from retouchd.pruning import Pruning

    hands = Hands(2, len(found.lanes), memory=4 << 30)
    pruning = Pruning(ledger, hands, found.scan.answer_within)
    code, now = 0, time.time()
    shown, braked, short = list[_Row](), list[_Row](), list[_Row]()
    try:
        # All lanes decide before the first one deletes, in a dry run as in a real one: what they
        # free on a disk that they share counts for all of them.
        for plan in pruning.plan(found.lanes, now, force=force):
            lane, decision = plan.lane, plan.decision
            if plan.trouble:
                code = _say_trouble(lane, plan.trouble)
                continue
            try:
                # What is deleted is exactly what was decided before.
                done = None if dry_run else pruning.carry_out(lane, decision, now, force=force)
            except TransientError as error:
                code = _say_trouble(lane, error)
                continue
            shown += _listed(lane, decision)
            braked += _whys(lane, [decision.braked] if decision.braked else [])
            short += _whys(lane, decision.short)
            if not as_json:
                _print(lane, decision)
                if done and done.deleted:
                    typer.echo(f"deleted {done.deleted} files, {show_size(done.freed)}")
    finally:
        hands.close()
    if as_json:
        told = {"files": shown, "braked": braked, "short": short, "dry_run": dry_run}
        typer.echo(json.dumps(told, indent=2))
    raise typer.Exit(code)


def _say_trouble(lane: Lane, error: RetouchdError) -> int:
    typer.echo(f"lane {lane.name}: {error.message} {error.advice}", err=True)
    return error.exit_code


def _whys(lane: Lane, whys: Iterable[str]) -> list[_Row]:
    return [{"lane": lane.name, "why": why} for why in whys]


def _listed(lane: Lane, decision: Decision) -> list[_Row]:
    return [
        {"path": printable(_path(lane, d.file.role, d.file.path)), "reason": d.reason}
        for d in decision.delete
    ]


def _print(lane: Lane, decision: Decision) -> None:
    if decision.braked:
        typer.echo(f"lane {lane.name}: nothing deleted. {decision.braked}")
    elif not decision.delete and not decision.short:
        typer.echo(f"lane {lane.name}: nothing is due")
    for why in decision.short:
        typer.echo(f"lane {lane.name}: {why}.")
    for doomed in decision.delete:
        typer.echo(f"{printable(_path(lane, doomed.file.role, doomed.file.path))}: {doomed.reason}")


def _path(lane: Lane, role: str, path: str) -> str:
    from retouchd.pruning import ROOTS

    return f"{lane.folders[ROOTS[role]]}/{path}"
