"""`config check` and `config show`."""

from __future__ import annotations

import json

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

app = typer.Typer(help="Check or show the configuration.", no_args_is_help=True)


@app.command()
def check(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    model: ModelOption = None,
    sets: SetOption = None,
) -> None:
    """Say whether the configuration is valid. Example: retouchd config check -c config.yaml"""
    found = choose(config, root, sets, state, model).read()
    lanes = ", ".join(lane.name for lane in found.lanes)
    typer.echo(f"the configuration is valid; lanes: {lanes}")


@app.command()
def show(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    model: ModelOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every key with the value in force. Example: retouchd config show --root DIR"""
    found = choose(config, root, sets, state, model).read()
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json"), indent=2))
        return
    from retouchd.config.show import to_yaml

    typer.echo(to_yaml(found), nl=False)
