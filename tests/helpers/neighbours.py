"""A lane on a share that may hang, and one beside it on the local disk."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from helpers.campaign import digests
from helpers.share import Share
from helpers.spool import Lanes, Spool
from helpers.standing import rows

HANDS = 4


class Neighbours:
    """The lanes `ill`, on the share, and `well`; the state is on the local disk."""

    def __init__(self, tmp_path: Path, share: Share) -> None:
        self.share = share
        self.lanes = Lanes(tmp_path / "root", hands=HANDS)
        # Of folders where nothing hangs, to compare how long a command takes.
        self.other = Spool(tmp_path / "other")
        self.well = self.lanes.lane("well", model="flat")
        self.lanes.lane("ill", model="flat", root=str(share.folder))
        # What the test looks at never hangs.
        self.ill = Spool(share.source, self.lanes.where)
        self.names = (f"photo{number}" for number in itertools.count())
        self.stems: list[str] = []

    def drop(self, count: int = 1, *lanes: Spool) -> None:
        """The same pairs into each lane (both, if none is named)."""
        for _ in range(count):
            number = len(self.stems)
            self.stems.append(next(self.names))
            for lane in lanes or (self.well, self.ill):
                lane.drop_pair(self.stems[-1], seed=number)

    def drop_again(self) -> None:
        """Into the lane that is well what the other got since the first pair."""
        for number, stem in enumerate(self.stems[1:], 1):
            self.well.drop_pair(stem, seed=number)

    def states(self, lane: str) -> dict[str, str]:
        return {row.name: row.state for row in rows(self.lanes.root / "state") if row.lane == lane}

    def done(self, lane: str) -> bool:
        """Whether all of a lane's drops are."""
        found = self.states(lane)
        wanted = {f"{stem}.png" for stem in self.stems}
        return {name for name in wanted if found.get(name) == "done"} == wanted

    def status(self) -> tuple[dict[str, dict[str, Any]], float, float]:
        """What it says of the lanes, how long it took, and how long where nothing hangs."""
        began = time.monotonic()
        self.other.status()
        middle = time.monotonic()
        lanes = {lane["name"]: lane for lane in self.lanes.status()["lanes"]}
        return lanes, time.monotonic() - middle, middle - began

    def check(self, attempts: int | None = 1) -> None:
        """Both lanes made the same of the same; exactly once, and at the first attempt (None: at
        any)."""
        outputs = digests(self.well, self.well.outbox)
        assert set(outputs) == {f"{stem}.png" for stem in self.stems}
        assert digests(self.ill, self.ill.outbox) == outputs
        for spool in (self.well, self.ill):
            assert spool.files(spool.inbox) == []
            assert spool.digests(spool.archive) == spool.dropped
            assert not list(spool.root.rglob(".retouchd-*.tmp"))
        jobs = self.lanes.jobs()
        assert len(jobs) == 2 * len(outputs)
        assert {job["state"] for job in jobs} == {"done"}
        assert {job["attempts"] for job in jobs} == {1} or attempts is None
