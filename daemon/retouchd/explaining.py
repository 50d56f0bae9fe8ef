"""Pure: the text that lies beside a quarantined original."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from retouchd.errors import printable
from retouchd.job import Job, Place
from retouchd.paragraphs import wrapped

_WHERE = "with the service's --root or --config, if it has one"


def error_text(job: Job, inbox: Path, when: datetime) -> str:
    """What happened, what to do, and how to try again, in plain words."""
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
    paths = [str(inbox), job.name, job.output or "", *files, *(d.path for d in job.drops)]
    return wrapped(paragraphs, [printable(n) for p in paths for n in (p, p.rsplit("/", 1)[-1])])
