"""`prune`: delete what retention says, now."""

from __future__ import annotations

import json
import time
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
from retouchd.errors import TransientError, printable

if TYPE_CHECKING:
    from retouchd.pruning import Pruning
    from retouchd.retention import Decision


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
    code, shown = 0, []
    try:
        for lane in found.lanes:
            try:
                shown += _prune(pruning, lane, dry_run=dry_run, force=force, quiet=as_json)
            except TransientError as error:
                typer.echo(f"lane {lane.name}: {error.message} {error.advice}", err=True)
                code = error.exit_code
    finally:
        hands.close()
    if as_json:
        typer.echo(json.dumps({"files": shown, "dry_run": dry_run}, indent=2))
    raise typer.Exit(code)


def _prune(
    pruning: Pruning, lane: Lane, *, dry_run: bool, force: bool, quiet: bool
) -> list[dict[str, object]]:
    now = time.time()
    decision = pruning.decide(lane, now, force=force)
    # The list comes before the deed: what is deleted is exactly what was decided here.
    deleted = None if dry_run else pruning.carry_out(lane, decision, now)
    if not quiet:
        _print(lane, decision)
        if deleted:
            typer.echo(f"deleted {deleted.deleted} files, {show_size(deleted.freed)}")
    return [
        {"path": printable(_path(lane, d.file.role, d.file.path)), "reason": d.reason}
        for d in decision.delete
    ]


def _print(lane: Lane, decision: Decision) -> None:
    if decision.braked:
        typer.echo(f"lane {lane.name}: nothing deleted. {decision.braked}")
    elif not decision.delete:
        typer.echo(f"lane {lane.name}: nothing is due")
    for doomed in decision.delete:
        typer.echo(f"{printable(_path(lane, doomed.file.role, doomed.file.path))}: {doomed.reason}")


def _path(lane: Lane, role: str, path: str) -> str:
    from retouchd.pruning import ROOTS

    return f"{lane.folders[ROOTS[role]]}/{path}"
