"""`models list` and `models verify`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from retouchd.cli.options import (
    ConfigOption,
    JsonOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
)
from retouchd.errors import ModelUnusable
from retouchd.manifest import ModelSpec, available, resolve, verify

app = typer.Typer(help="List and verify models.", no_args_is_help=True)


@app.command("list")
def list_models(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that a lane can name. Example: retouchd models list --root DIR"""
    found = choose(config, root, sets, state).read()
    specs = available(found.models_folder)
    if as_json:
        typer.echo(json.dumps([_plain(spec) for spec in specs.values()], indent=2))
        return
    for spec in specs.values():
        where = spec.path or "built in, no weights"
        typer.echo(f"{spec.name}: {spec.architecture}, {where}")
        typer.echo(f"  licence {spec.licence or 'unknown'}; {' '.join(spec.notes.split())}")


@app.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME|PATH]...")] = None,
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
) -> None:
    """Check that weights are what their manifest says. Example: retouchd models verify --root DIR

    Without a name, every model that the configuration uses. Each is loaded, too.
    """
    found = choose(config, root, sets, state).read()
    wanted = names or sorted({lane.model for lane in found.lanes})
    bad = 0
    for name in wanted:
        try:
            spec = resolve(name, found.models_folder)
            verify(spec)
            _load(spec)
        except ModelUnusable as error:
            typer.echo(f"{name}: {error.message} {error.advice}", err=True)
            bad = error.exit_code
        else:
            known = name in available(found.models_folder)
            good = "good" if known else "it loads, but no manifest says what it should be"
            typer.echo(f"{name}: {good}, sha256 {spec.sha256}")
    raise typer.Exit(bad)


def _load(spec: ModelSpec) -> None:
    """Raise ModelUnusable for weights that no lane could work with."""
    if spec.path is not None:
        from retouchd.weights import load_lama

        load_lama(spec)


def _plain(spec: ModelSpec) -> dict[str, str | None]:
    return {
        "name": spec.name,
        "architecture": spec.architecture,
        "path": str(spec.path) if spec.path else None,
        "sha256": spec.sha256,
        "licence": spec.licence,
        "source": spec.source,
        "notes": " ".join(spec.notes.split()),
    }
