"""Pure: which dropped files belong together, from their names alone.

A mask belongs to a photo by its name: ``photo_mask.png``, ``photo-mask.png``, ``photo.mask.png``,
``photo.jpg.mask.png`` beside ``photo.jpg``, or any file ``masks/photo.png`` below it. Names are
compared NFC-normalised and case-folded. Where a mask fits several photos, the one spelled exactly
like it is meant; where that does not single one out, it is a conflict, never a guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from retouchd.config.sections import Pairing
from retouchd.namesakes import Links, Name, read

Source = Literal["mask", "folder_mask", "rectangles", "alpha", "photo"]

WITH_ALPHA = frozenset(("png", "webp", "tif", "tiff", "avif"))
_SHOWN = 6


@dataclass(frozen=True)
class Candidate:
    """A file in the inbox that is not ignored, and whether it is known to be whole."""

    relative: str
    settled: bool


@dataclass(frozen=True)
class Pair:
    """A photo and what says where to repair it; all of it is settled.

    mask: its own mask, set if source is ``mask``. shared_mask: the mask of its folder, which
    stays where it is, set if source is ``folder_mask``. A source of ``photo`` is the photo alone.
    """

    image: str
    mask: str | None
    shared_mask: str | None
    source: Source

    @property
    def members(self) -> tuple[str, ...]:
        """The files that the job uses up."""
        return (self.image,) if self.mask is None else (self.image, self.mask)


@dataclass(frozen=True)
class Pending:
    """Nothing can be said before all of these files have settled."""

    members: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """A photo without a mask."""

    image: str

    @property
    def members(self) -> tuple[str, ...]:
        """The photo."""
        return (self.image,)


@dataclass(frozen=True)
class WaitingMask:
    """A mask without a photo."""

    mask: str

    @property
    def members(self) -> tuple[str, ...]:
        """The mask."""
        return (self.mask,)


@dataclass(frozen=True)
class Conflict:
    """Files that fit together in more than one way, photos first; ``cause`` names them in words."""

    members: tuple[str, ...]
    cause: str


@dataclass(frozen=True)
class NotImage:
    """A file whose suffix is that of no image that can be worked on."""

    relative: str

    @property
    def members(self) -> tuple[str, ...]:
        """The file."""
        return (self.relative,)


Verdict = Pair | Pending | Waiting | WaitingMask | Conflict | NotImage


def decide(
    candidates: Iterable[Candidate], rules: Pairing, *, alone: bool = False
) -> tuple[Verdict, ...]:
    """What belongs together, sorted by members; the order of the candidates does not matter.

    alone: whether a photo without a mask is work as well, as in a matte lane.

    Every candidate is in exactly one verdict, except a folder's mask, which is in none of its own
    (unless there are two). All members of a verdict are settled, except a Pending's.

    A photo's own mask comes before its folder's, that before the lane's rectangles, and those
    before the photo's alpha. O(n log n).
    """
    settled: dict[str, bool] = {}
    for candidate in candidates:
        known = settled.get(candidate.relative, True)
        settled[candidate.relative] = known and candidate.settled
    return tuple(sorted(_Inbox(settled, rules, alone).verdicts(), key=lambda v: v.members))


@dataclass
class _Inbox:
    """The work of one ``decide``."""

    settled: dict[str, bool]
    rules: Pairing
    alone: bool
    shared: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def verdicts(self) -> list[Verdict]:
        found: list[Verdict] = []
        names: dict[str, Name] = {}
        for relative in sorted(self.settled):
            name = read(relative)
            if name is None:
                found.append(self._when_settled((relative,), NotImage(relative)))
            elif name.base == "" and self.rules.folder_mask:
                self.shared[name.home].append(relative)
            else:
                names[relative] = name
        found += [self._shared_conflict(home) for home, s in self.shared.items() if len(s) > 1]
        links = Links()
        links.link(names.values())
        found += [self._group(group, names, links) for group in links.groups(names)]
        return found

    def _when_settled(self, needed: tuple[str, ...], verdict: Verdict) -> Verdict:
        return verdict if all(self.settled[m] for m in needed) else Pending(needed)

    def _shared_conflict(self, home: str) -> Verdict:
        members = tuple(self.shared[home])
        folder = f"the folder {home}" if home else "the inbox"
        cause = f"{folder} has {len(members)} masks for all its photos: {_listed(members)}"
        return self._when_settled(members, Conflict(members, cause))

    def _group(self, members: list[str], names: dict[str, Name], links: Links) -> Verdict:
        if len(members) == 1:
            return self._alone(names[members[0]])
        if len(members) > 2:
            # The photo first: its name is the one that people look for.
            first = sorted(members, key=lambda m: m in links.aiming)
            conflict = Conflict(tuple(first), _cause(members, links))
            return self._when_settled(conflict.members, conflict)
        image, mask = sorted(members, key=lambda m: m in links.aiming)
        return self._when_settled((image, mask), Pair(image, mask, None, "mask"))

    def _alone(self, name: Name) -> Verdict:
        this = name.relative
        if name.base is not None:
            return self._when_settled((this,), WaitingMask(this))
        shared = self.shared.get(name.home, [])
        if len(shared) == 1:
            pair = Pair(this, None, shared[0], "folder_mask")
            return self._when_settled((this, shared[0]), pair)
        if not shared and self.rules.rectangles:
            return self._when_settled((this,), Pair(this, None, None, "rectangles"))
        suffix = name.full.rpartition(".")[2].lower()
        if not shared and self.rules.alpha_holes and suffix in WITH_ALPHA:
            return self._when_settled((this,), Pair(this, None, None, "alpha"))
        if self.alone:
            return self._when_settled((this,), Pair(this, None, None, "photo"))
        return self._when_settled((this,), Waiting(this))


def _cause(members: Sequence[str], links: Links) -> str:
    both = [m for m in members if m in links.aiming and m in links.aimed_at]
    if both:
        rest = [m for m in members if m not in both]
        return f"{_listed(both)} can be read as a photo or as a mask, beside {_listed(rest)}"
    masks = [m for m in members if m in links.aiming]
    images = [m for m in members if m not in links.aiming]
    if len(images) == 1:
        return f"the photo {images[0]} has {len(masks)} masks: {_listed(masks)}"
    if len(masks) == 1:
        return f"the mask {masks[0]} fits {len(images)} photos: {_listed(images)}"
    return f"the masks {_listed(masks)} fit the photos {_listed(images)} in more than one way"


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``; of many, the first few and how many more."""
    shown = list(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown.append(f"{len(names) - _SHOWN} more")
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
