"""The application: its verbs, and what an error looks like."""

from __future__ import annotations

import errno
import sys
from typing import Annotated, NoReturn

import typer

from retouchd import __version__
from retouchd.cli import (
    acting,
    config,
    demo,
    doctor,
    explain,
    jobs,
    models,
    prune,
    run,
    service,
    sheet,
    status,
)
from retouchd.errors import IoTrouble, RetouchdError
from retouchd.ledger.trouble import told

_PASSING = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE}
"""What a disk or a share says that may be well again at the next start."""

app = typer.Typer(
    name="retouchd",
    help="A watch-folder daemon for retouching: drop a photo and a mask, find the repaired photo.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("once")(run.once)
app.command("status")(status.status)
app.command("jobs")(jobs.jobs)
app.command("explain")(explain.explain)
app.command("retry")(acting.retry)
app.command("cancel")(acting.cancel)
app.command("adopt")(acting.adopt)
app.command("prune")(prune.prune)
app.command("sheet")(sheet.sheet)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(config.app, name="config")
app.add_typer(models.app, name="models")
app.add_typer(service.app, name="service")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"retouchd {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A watch-folder daemon for retouching: drop a photo and a mask, find the repaired photo."""


def main() -> None:
    """Run the command line; an error is a sentence, a remedy and an exit code."""
    try:
        app()
    except RetouchdError as error:
        _complain(error)
    except BrokenPipeError:
        # `retouchd jobs | head` is no error.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if any("log.level=debug" in word for word in sys.argv):
            raise
        _complain(_understood(error))


def _understood(error: Exception) -> RetouchdError:
    """What nobody expected, as a sentence; where the disk is to blame, systemd tries again."""
    if isinstance(error, OSError) and error.errno in _PASSING:
        return IoTrouble(path=error.filename or "a file", cause=error.strerror)
    return told(error) or RetouchdError(cause=f"{error} ({type(error).__name__})")


def _complain(error: RetouchdError) -> NoReturn:
    typer.echo(f"retouchd: {error.message}\n{error.advice}", err=True)
    sys.exit(error.exit_code)
