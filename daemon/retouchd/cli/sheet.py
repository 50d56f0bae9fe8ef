"""`sheet`: a day's cut-outs at a glance."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retouchd.cli.options import (
    ConfigOption,
    RootOption,
    SetOption,
    StateOption,
    choose,
    reader,
)
from retouchd.config import Config, Lane
from retouchd.errors import CannotWrite, WrongRequest, printable
from retouchd.job import Job
from retouchd.ledger import LedgerReader
from retouchd.naming import fixed_format, temporary

if TYPE_CHECKING:
    from retouchd.contact_sheet import Page

_DAYS = {"today": 0, "yesterday": 1}
_MOST_HANDS = 4


def sheet(
    lane: Annotated[
        str | None, typer.Argument(help="A matte lane; the only one if left out.")
    ] = None,
    day: Annotated[
        str, typer.Option("--date", "-d", help="today, yesterday, or like 2026-11-21.")
    ] = "today",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file or folder; LANE-DATE.png here if left out."),
    ] = None,
    config: ConfigOption = None,
    root: RootOption = None,
    state: StateOption = None,
    sets: SetOption = None,
) -> None:
    """Show a day's cut-outs on one page. Example: retouchd sheet web --date yesterday -o web.png

    Each is shown on white, on black, on magenta and as alpha, with its confidence; those that went
    to review are marked. More than 24 make several pages: web-1.png, web-2.png, …
    """
    found = choose(config, root, sets, state).read()
    chosen = _lane(found, lane)
    when = _day(day)
    path = _target(found, output, f"{chosen.name}-{when}.png")
    ledger = reader(found)
    jobs = _jobs(ledger, chosen, when) if ledger else []
    if not ledger or not jobs:
        typer.echo(f"lane {chosen.name}: no cut-outs were made on {when}")
        return
    with contextlib.closing(ledger):
        _draw(found, ledger, chosen, jobs, path, f"{chosen.name}, {when}")


def _lane(config: Config, name: str | None) -> Lane:
    """The lane that is meant; raises WrongRequest."""
    mattes = [lane for lane in config.lanes if lane.task == "matte"]
    if name is None and len(mattes) == 1:
        return mattes[0]
    choices = ", ".join(lane.name for lane in mattes)
    fix = f"Name one of these: {choices}." if mattes else "`task: matte` makes a lane one."
    lane = config.lane(name) if name else None
    if name is None:
        cause = "there are several matte lanes" if mattes else "there is no matte lane"
    elif lane is None:
        cause = f"there is no lane {name!r}"
    elif lane.task != "matte":
        cause = f"lane {name} repairs photos, and sheets are for matte lanes, which make cut-outs"
    else:
        return lane
    raise WrongRequest(cause=cause, fix=fix)


def _day(text: str) -> date:
    """A day in words; raises WrongRequest."""
    today = datetime.now().astimezone().date()
    if text in _DAYS:
        return today - timedelta(days=_DAYS[text])
    try:
        day = date.fromisoformat(text)
        _span(day)
    except (ValueError, OverflowError):
        raise WrongRequest(
            cause=f"--date {text!r} is no day",
            fix=f"Write today, yesterday, or a day like {today}.",
        ) from None
    return day


def _span(day: date) -> tuple[float, float]:
    """When a local day begins and ends, in seconds since the epoch; not all have 24 hours."""
    begins, ends = (datetime.combine(d, time()) for d in (day, day + timedelta(days=1)))
    return begins.astimezone().timestamp(), ends.astimezone().timestamp()


def _target(config: Config, output: Path | None, usual: str) -> Path:
    """Where the sheet goes; raises WrongRequest."""
    path = Path(os.path.abspath(output or usual))
    path = path / usual if path.is_dir() else path
    if fixed_format(path.name) is None:
        raise WrongRequest(
            cause=f"--output {path.name} has no ending of a picture",
            fix="Use .png, .jpg, .webp or .avif.",
        )
    if any(path.is_relative_to(lane.inbox) for lane in config.lanes):
        raise WrongRequest(
            cause=f"{path.parent} is an inbox: the sheet would be worked on like a photo",
            fix="Name another folder with -o.",
        )
    return path


def _jobs(ledger: LedgerReader, lane: Lane, day: date) -> Sequence[Job]:
    """The jobs whose outputs are shown; of two with one output, the later one made it."""
    found = ledger.finished(lane.name, *_span(day))
    return list({(job.output_role, job.output): job for job in found}.values())


def _draw(
    config: Config, ledger: LedgerReader, lane: Lane, jobs: Sequence[Job], path: Path, title: str
) -> None:
    # Only now: `status` and the others shall not wait for what this needs.
    from retouchd.contact_sheet import PER_PAGE, contact_sheet
    from retouchd.hands import Hands
    from retouchd.sheets import Sheets

    review = sum(job.output_role == "review" for job in jobs)
    title += f": {len(jobs)} cut-out{'s' * (len(jobs) > 1)}, {review} to review"
    pages = [jobs[start : start + PER_PAGE] for start in range(0, len(jobs), PER_PAGE)]
    size = min(_MOST_HANDS, os.cpu_count() or 2)
    hands = Hands(size, 1, memory=(2 << 30) + 40 * lane.limits.max_pixels)
    try:
        sheets = Sheets(ledger, hands, config.scan.answer_within)
        for number, page in enumerate(pages, start=1):
            part = f" · page {number} of {len(pages)}" if len(pages) > 1 else ""
            drawn = contact_sheet(title + part, sheets.cutouts(lane, page))
            file = path.with_stem(f"{path.stem}-{number}") if part else path
            _write(file, drawn)
            typer.echo(printable(file))
    finally:
        hands.close()


def _write(path: Path, page: Page) -> None:
    """Write a page whole, in place of an earlier one; raises CannotWrite."""
    from retouchd.images import Metadata, Photo, encode

    kind = fixed_format(path.name)
    data = encode(Photo(page, Metadata(kind or "png")), name=str(path)).data
    hidden = path.with_name(temporary(f"sheet-{os.getpid()}"))
    try:
        with open(hidden, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(hidden)
        raise CannotWrite(path=path, cause=error.strerror or str(error)) from None
