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
from retouchd.config import checked
from retouchd.errors import ConfigInvalid

app = typer.Typer(help="Check or show the configuration.", no_args_is_help=True)


@app.command()
def check(
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    model: ModelOption = None,
    sets: SetOption = None,
) -> None:
    """Say whether a service could start with this. Example: retouchd config check -c config.yaml

    Exit code 2 means that it could not. What only pauses a lane is a warning; `retouchd doctor`
    looks closer, at the machine and into the weights as well.
    """
    from retouchd.startable import flaws

    choice = choose(config, root, sets, state, model)
    written = choice.written()
    found = checked(written)
    for flaw in sorted(flaws(found), key=lambda flaw: not flaw.fatal):
        given = flaw.path[-1] == "model" and found.lanes[int(flaw.path[1])].model == model
        where = f"--model {model}" if given else written.place(flaw.path)
        if flaw.fatal:
            raise ConfigInvalid(where=where, cause=flaw.cause, fix=flaw.fix)
        typer.echo(f"warning: {where}: {flaw.cause}.\n{flaw.fix}", err=True)
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
