"""`doctor`: what is wrong with this machine, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from retouchd.cli.options import (
    ConfigOption,
    JsonOption,
    ModelOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
)

_SIGNS = {"ok": "ok     ", "warning": "WARNING", "problem": "PROBLEM"}


def doctor(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    model: ModelOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check folders, ledger, limits, clock, device and models. Example: retouchd doctor

    Run it as the service user: sudo -u retouchd retouchd doctor. Exit code 2 means a problem.
    """
    from retouchd.doctor import examine

    findings = examine(choose(config, root, sets, state, model).read())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    for finding in () if as_json else findings:
        typer.echo(f"{_SIGNS[finding.level]} {finding.check}: {finding.message}")
        if finding.remedy:
            typer.echo(f"        {finding.remedy}")
    raise typer.Exit(2 if any(finding.level == "problem" for finding in findings) else 0)
