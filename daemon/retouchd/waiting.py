"""Pure: what a job waits for, in words."""

from __future__ import annotations

from retouchd.errors import printable
from retouchd.job import CANCELLABLE, Job
from retouchd.nearly import Near, fitting


def missing(job: Job) -> str | None:
    """What has to come for a waiting job, ``"mask"`` or ``"photo"``; None where all is there but
    still moves."""
    if job.complete or any(drop.stat is None for drop in job.drops):
        return None
    return "photo" if job.image is None else "mask"


def waits_for(job: Job, near: Near) -> str:
    """One sentence about a waiting job. near: see ``near_misses``, of its lane."""
    what = missing(job)
    if what is None:
        return "It waits until its files are still."
    hint = near.hint(job.name)
    if hint is None and what == "mask":
        hint = f" (for example {fitting(job.name, 'x.png')} beside it)"
    if hint is None:
        hint = ", since its name is that of a mask; if it is a photo itself, rename it"
    return printable(f"It waits for its {what}{hint}.")


def retired(job: Job, cancel: str) -> str:
    """What to do about an open job whose lane the configuration has no more. cancel: the command
    that cancels it."""
    left = f", or cancel it with `{cancel}`" if job.state in CANCELLABLE else ""
    return printable(
        f"Its lane {job.lane} is no longer configured, so nothing happens to it. Give a lane with "
        f"those folders that name again{left}."
    )
