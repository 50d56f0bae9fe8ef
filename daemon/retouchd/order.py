"""What a coordinator hands to a worker, and what it gets back: plain values, without pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from retouchd.fit import Fit
from retouchd.regions import DEFAULTS, PlanSettings
from retouchd.roots import RootRef
from retouchd.shared import SharedArray
from retouchd.tasks.values import Original, Values


@dataclass(frozen=True)
class Model:
    """A lane's model: its name, the sha256 of its weights, the largest side that it is shown.

    fit: what a matting network wants to be shown; None for a model that works without one.
    second_opinion: a plain backdrop may know better than that network.
    """

    name: str
    sha256: str
    largest: int = DEFAULTS.largest
    fit: Fit | None = None
    second_opinion: bool = False

    @property
    def planning(self) -> PlanSettings:
        """How regions are planned for it."""
        return DEFAULTS.within(self.largest)


@dataclass(frozen=True)
class Order:
    """One piece of work.

    job: its number, for blame and messages. source: where the hole comes from. outbox, review:
    where the output goes; review is only where the lane has such a folder. temporary: the hidden
    name to write to. settings: the lane's, as plain values (see ``config.Lane.work``). decoded:
    estimated bytes of the decoded photo and its mask. within: seconds a hand may take. inbox: the
    folder that people know, and name: how they called the photo there, for messages.
    """

    job: int
    lane: str
    image: Original
    mask: Original | None
    source: str
    outbox: RootRef
    temporary: str
    model: Model
    settings: Mapping[str, Any]
    decoded: int
    within: float
    review: RootRef | None = None
    inbox: str = ""
    name: str = ""

    @property
    def roots(self) -> tuple[RootRef, ...]:
        """Every folder that the work reads or writes."""
        originals = (self.image, self.mask)
        all_ = (*(one.root for one in originals if one), self.outbox, self.review)
        return tuple(dict.fromkeys(root for root in all_ if root))

    @property
    def background(self) -> str | None:
        """The picture that is put behind a cut-out, if there is one: an absolute path."""
        path: str | None = self.settings.get("matte", {}).get("background")
        return path


@dataclass
class Prepared:
    """The photo in shared memory, ready for the model."""

    facts: Values
    arrays: Sequence[SharedArray]

    @property
    def sha256(self) -> Mapping[str, str | None]:
        """Content hashes of image and mask, and of what else decides the output."""
        hashes: Mapping[str, str | None] = self.facts["sha256"]
        return hashes


@dataclass(frozen=True)
class Written:
    """One durable temporary file: content hash, bytes, and the ending that its name gets.

    token: of its hidden name; empty for the output itself.
    """

    sha256: str
    size: int
    ending: str
    token: str = ""


@dataclass(frozen=True)
class Product:
    """What came of an order.

    output: its main file. companions: files that are published with it. role: the folder that all
    of them lie in, ``outbox`` or ``review``. notes: facts and remarks.
    """

    output: Written
    companions: tuple[Written, ...] = ()
    role: str = "outbox"
    notes: tuple[str, ...] = ()


@dataclass
class Stopwatch:
    """Milliseconds per stage."""

    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = (time.perf_counter() - began) * 1000
            self.stages[name] = round(self.stages.get(name, 0.0) + took, 1)
