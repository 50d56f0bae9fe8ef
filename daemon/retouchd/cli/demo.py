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
    inbox.mkdir(parents=True, exist_ok=True)
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

    today = f"{datetime.now().astimezone():%Y-%m-%d}"
    rows = []
    for name in names:
        after = next((root / "outbox" / today).glob(f"{name}.*"))
        before = root / "archive" / today / after.name
        mask = root / "archive" / today / f"{name}_mask.png"
        rows.append(Row(*(read(path) for path in (before, mask, after))))
    sheet = root / "contact-sheet.png"
    save(contact_sheet(rows), sheet)
    typer.echo(f"results:        {root / 'outbox' / today}")
    typer.echo(f"originals:      {root / 'archive' / today}")
    typer.echo(f"contact sheet:  {sheet}")
