"""Which finished job a mask is meant for that comes without a photo."""

from __future__ import annotations

from retouchd.ledger import Ledger
from retouchd.namesakes import is_of, read


def meant_by(mask: str, lane: str, ledger: Ledger) -> int | None:
    """The job of the newest photo of that name that lies in the lane's archive.

    None where there is none, or where photos of several names would fit: never a guess.
    """
    name = read(mask)
    if name is None or not name.base:
        return None
    beginning = f"{name.home}/{name.base}" if name.home else name.base
    fits = [job for job in ledger.filed_away(lane, beginning) if job.image]
    fits = [job for job in fits if job.image and is_of(mask, job.image.path)]
    if not fits or len({job.image.path for job in fits if job.image}) > 1:
        return None
    return fits[0].id
