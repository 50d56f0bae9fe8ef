"""`service install`: the unit, the user, the folders and a first configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retouchd.cli.options import DEFAULT_CONFIG

app = typer.Typer(help="Install the systemd service.", no_args_is_help=True)


@app.callback()
def _service() -> None:
    """Install the systemd service."""


@app.command()
def install(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The service's configuration file.")
    ] = DEFAULT_CONFIG,
    user: Annotated[str, typer.Option(help="The system user that it runs as.")] = "retouchd",
    prefix: Annotated[
        Path, typer.Option(help="Write below this folder instead of / (for images and trials).")
    ] = Path("/"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be written.")
    ] = False,
) -> None:
    """Write unit, user, folders and a first config. Example: sudo retouchd service install

    What is there and differs is kept beside it as .bak; a configuration is never replaced.
    """
    from retouchd import installing

    surroundings = installing.look_around()
    executable = installing.own_executable()
    there = prefix.absolute()
    found = installing.config_to_install(config, there)
    files = installing.plan_install(
        found, config, executable, user, there, surroundings=surroundings
    )
    again = any(file.path.exists() for file in files if not file.keep)
    for line in installing.preview(files) if dry_run else installing.apply(files):
        typer.echo(f"dry run: {line}" if dry_run else line)
    for remark in installing.remarks(found, config, executable, surroundings):
        typer.echo(f"note: {remark}")
    typer.echo("now run:")
    for command in installing.next_commands(config, executable, user, there, again=again):
        typer.echo(f"  {command}")
