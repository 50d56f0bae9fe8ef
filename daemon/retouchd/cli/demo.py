"""`demo`: see it work, with photos that need no download."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from retouchd.cli.options import ModelOption
from retouchd.errors import StartError


def demo(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to work; a new temporary folder if left out.")
    ] = None,
    model: ModelOption = None,
) -> None:
    """Drop a few real photos with masks, run `once`, show the results. Example: retouchd demo"""
    try:
        from retouchd.demo.photos import drop, samples

        pairs = samples()
    except ImportError:
        raise StartError(
            cause="the demo's photos come with scikit-image, which is not installed "
            "(pip install 'retouchd[demo]')"
        ) from None
    root = folder or Path(tempfile.mkdtemp(prefix="retouchd-demo-"))
    inbox = root / "inbox"
    for pair in pairs:
        drop(pair, inbox)
    typer.echo(f"dropped {len(pairs)} photos with their masks into {inbox}")
    options = ["--model", model] if model else []
    # These masks are drawn to the pixel; hand-drawn ones want the default of 10.
    options += ["--set", "lanes.*.mask.dilate=2", "--set", "lanes.*.mask.feather=2"]
    command = [sys.executable, "-m", "retouchd", "once", "--root", str(root), *options]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise typer.Exit(code)
    _show(root, [pair.name for pair in pairs])


def _show(root: Path, names: list[str]) -> None:
    from retouchd.demo.sheet import Row, contact_sheet, read, save

    outbox, archive = root / "outbox", root / "archive"
    rows = []
    for name in names:
        before, mask = (_newest(archive, f"{name}{ending}.*") for ending in ("", "_mask"))
        rows.append(Row(*(read(path) for path in (before, mask, _newest(outbox, f"{name}.*")))))
    sheet = root / "contact-sheet.png"
    save(contact_sheet(rows), sheet)
    today = f"{datetime.now().astimezone():%Y-%m-%d}"
    typer.echo(f"results:        {outbox / today}")
    typer.echo(f"originals:      {archive / today}")
    typer.echo(f"contact sheet:  {sheet}")


def _newest(folder: Path, pattern: str) -> Path:
    """A demo may be run twice in one place, and past midnight."""
    return max(folder.rglob(pattern), key=lambda path: path.stat().st_mtime_ns)
