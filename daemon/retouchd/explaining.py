"""Pure: the text that lies beside a quarantined original."""

from __future__ import annotations

import textwrap
from datetime import datetime
from pathlib import Path

from retouchd.errors import printable
from retouchd.job import Job, Place

_WIDTH = 78
_WHERE = "with the service's --root or --config, if it has one"


def error_text(job: Job, inbox: Path, when: datetime) -> str:
    """What happened, what to do, and how to try again, in plain words.

    Lines end in CR LF, because Notepad is where many of these are read.
    """
    files = [d.where.rsplit("/", 1)[-1] for d in job.drops if d.place is Place.FAILED]
    stands = job.earlier and job.output
    tried = f"It was tried {job.attempts} time{'s' if job.attempts != 1 else ''}."
    paragraphs = [
        f"{printable(job.name)} could not be retouched{' again' if stands else ''}.",
        f"Why: {job.error or 'unknown'}",
        *([f"What was made of it before stands: {printable(job.output)}"] if stands else []),
        f"What to do: {job.remedy or 'Drop it again.'}",
        f"How to try again: mend the cause and drop the file into {printable(inbox)} once more"
        + (f", or run  retouchd retry {job.id}  ({_WHERE})." if job.complete else "."),
        f"Untouched originals in this folder: {', '.join(map(printable, files)) or 'none'}. {tried}"
        f" Job {job.id} of lane {job.lane}, {when:%Y-%m-%d %H:%M %z}.",
    ]
    text = "\n\n".join(
        textwrap.fill(p, _WIDTH, break_long_words=False, break_on_hyphens=False) for p in paragraphs
    )
    return text.replace("\n", "\r\n") + "\r\n"
