"""Which finished job a mask is meant for that comes without a photo."""

from __future__ import annotations

from dataclasses import replace

from retouchd.job import State
from retouchd.ledger import Ledger
from retouchd.namesakes import Links, read

_OVER = (State.DONE, State.QUARANTINED, State.CANCELLED)


def meant_by(mask: str, lane: str, ledger: Ledger) -> int | None:
    """The newest job of the photo that a mask fits by name, if that photo lies in the archive.

    None where there is none, where photos of several names would fit (never a guess), and while
    the newest one of that name is still worked on: the mask is for that, and not for an older one.
    """
    photo = _photo_of(mask, lane, ledger)
    job = ledger.newest_of(lane, photo) if photo else None
    return job.id if job and job.is_redone and job.state in _OVER else None


def _photo_of(mask: str, lane: str, ledger: Ledger) -> str | None:
    name = read(mask)
    if name is None or not name.base:
        return None
    beginning = f"{name.home}/{name.base}" if name.home else name.base
    names = [read(path) for path in ledger.photos_named(lane, beginning)]
    links = Links()
    # What was worked on as a photo is one, even where it could be read as a mask.
    links.link([name, *(replace(photo, base=None) for photo in names if photo)])
    paths = [photo.relative for photo in names if photo]
    [group] = [group for group in links.groups([mask, *paths]) if mask in group]
    others = [path for path in group if path != mask]
    return others[0] if len(others) == 1 else None
