"""`service install`: unit, user and folders."""

from __future__ import annotations

import typer

app = typer.Typer(help="Install the systemd service.", no_args_is_help=True)


@app.callback()
def _service() -> None:
    """Install the systemd service."""
