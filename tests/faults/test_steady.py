"""Promise 20, the second half: steady. After thousands of jobs of every kind and size a service
holds no more memory, files, threads or processes than when it had become warm, and what it says is
still what is.

RETOUCHD_STEADY_JOBS: how many jobs the soak does.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.books import Books
from helpers.pictures import texture
from helpers.running import Running, eventually
from helpers.spool import Lanes
from helpers.steadiness import COUNTS, MEASURES, drift, line, look
from helpers.variety import LARGEST, drop

JOBS = int(os.environ.get("RETOUCHD_STEADY_JOBS", "5000"))
AT_ONCE = 40
OVER = ("done", "quarantined", "cancelled")
OPTIONS = ("--set", "scan.incomplete_after=2s", "--set", "log.level=info")
PATIENCE = 1800.0
"""Only to end what hangs: campaigns run beside other things."""
FLAT = {"service_rss": 0.1, "service_pss": 0.1, "service_own": 0.1}
"""By how much a median may change, where that is not 0.05: what the service holds alone moves by
more than that from one look to the next."""
SMALL = 20_000
REST = 2.5
"""Seconds after which a service has given back what the work took."""


class Mill:
    """A service with a lane of each task that is fed with drops of every kind.

    keep: how much of each class of files is kept, so that pruning goes on beside the work.
    """

    def __init__(self, folder: Path, children, keep: str = "20MB") -> None:
        self.lanes, self._children = Lanes(folder / "root"), children
        kept = {"max_size": keep}
        common = {
            "limits": {"max_pixels": "4MP"},
            "retention": {**dict.fromkeys(("outputs", "archive", "failed"), kept), "every": "5s"},
        }
        self.inpaint = self.lanes.lane(
            "inpaint", model="flat", output={"duplicates": "reuse"}, **common
        )
        self.cutouts = self.lanes.lane("cutouts", task="matte", **common)
        self.spools = {"inpaint": self.inpaint, "cutouts": self.cutouts}
        self.state = self.lanes.root / "state"
        self.books = Books(self.lanes, self.state, self.spools)
        self.running = Running(self.lanes, *OPTIONS)
        for lane in self.spools:
            self.running.wait_for("watching", lane=lane)
        self.states: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.files: Counter[tuple[str, str]] = Counter()
        self._to_take: list[tuple[str, str]] = []
        self.jobs = 0

    def feed(self, count: int, largest: int = LARGEST) -> None:
        """So many more drops, and then wait until all of them ended."""
        for number in range(self.jobs, self.jobs + count):
            self._await_room()
            self._put(number, largest)
        self.jobs += count
        assert eventually(self._is_over, PATIENCE), self._story()

    def _put(self, number: int, largest: int) -> None:
        one = drop(number, largest)
        self.kinds[one.kind] += 1
        self.states[one.lane, one.ends] += 1
        self._expect_files(one)
        spool = self.spools[one.lane]
        for name, data in one.files.items():
            # As programs do it: never half a file under its name.
            hidden = spool.inbox / f".{name}.new"
            hidden.write_bytes(data)
            hidden.rename(spool.inbox / name)
            if one.ends == "cancelled":
                self._to_take.append((one.lane, name))

    def _expect_files(self, one) -> None:
        """What has to lie somewhere for good, were nothing pruned."""
        if one.into == "review":
            self.files["all", "texts"] += 1
        if one.into:
            self.files["all", "outputs"] += 1
        if one.ends == "quarantined":
            self.files["all", "texts"] += 1
        if one.ends != "cancelled":
            self.files["all", "originals"] += len(one.files)

    def _await_room(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while sum(len(os.listdir(spool.inbox)) for spool in self.spools.values()) > AT_ONCE:
            self._take_away()
            assert time.monotonic() < deadline, self._story()
            time.sleep(0.05)

    def _take_away(self) -> None:
        """Photos that wait for a mask which never comes."""
        waiting = {
            (lane, os.fsdecode(name))
            for lane, name in self.books.all("SELECT lane, name FROM jobs WHERE state = 'waiting'")
        }
        for lane, name in [one for one in self._to_take if one in waiting]:
            (self.spools[lane].inbox / name).unlink()
            self._to_take.remove((lane, name))

    def _is_over(self) -> bool:
        self._take_away()
        if self.running.process.poll() is not None:
            return True
        over = sum(n for (_, state), n in self.books.states().items() if state in OVER)
        return over >= self.states.total() and self.books.settled()

    def check(self) -> None:
        """The books agree, with what was dropped as well."""
        assert self.running.process.poll() is None, self._story()
        assert self.books.states() == self.states
        # Pruning goes on by itself: for as long as that takes, they need not agree.
        deadline = time.monotonic() + 60
        while True:
            try:
                self.books.check()
                pruned = sum(one["files"] for one in self._said("pruned"))
                assert len(self.books.disk()) + pruned == self.files.total()
                return
            except (AssertionError, FileNotFoundError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def _said(self, event: str):
        return [one for one in list(self.running.lines) if one["event"] == event]

    def look(self):
        time.sleep(REST)
        return look(self.jobs, self.running.process.pid, self._children, self.state)

    def _story(self) -> str:
        missing = self.states - self.books.states()
        return f"still wanted: {missing}\n{''.join(self.running.raw[-30:])}"


@pytest.fixture
def mill(tmp_path, children):
    made: list[Mill] = []

    def begin(**how) -> Mill:
        made.append(Mill(tmp_path, children, **how))
        return made[-1]

    yield begin
    for one in made:
        one.running.close()


def test_some_jobs_leave_nothing_behind_but_their_files(mill):
    """Neither descriptors nor processes, and the books agree."""
    one = mill()
    one.feed(18, SMALL)
    one.check()
    before = one.look()
    one.feed(14, SMALL)
    after = one.look()
    one.check()
    one.books.check_listed()
    held = ("hands", "service_files", "hands_files")
    assert {name: getattr(after, name) for name in held} == {
        name: getattr(before, name) for name in held
    }


@pytest.mark.soak
def test_what_large_photos_took_is_given_back(tmp_path, children, tally):
    """By a service at rest, which would else hold some times as much as before."""
    lanes = Lanes(tmp_path / "root")
    lane = lanes.lane("inpaint", model="classical", limits={"max_pixels": "20MP"})
    running = Running(lanes)
    try:
        running.wait_for("watching")
        state = lanes.root / "state"
        before = look(0, running.process.pid, children, state)
        photo, mask = cv2.resize(texture(1), (4500, 3000)), np.zeros((3000, 4500), np.uint8)
        for number in range(8):
            cv2.circle(mask, (800 + 300 * number, 1500), 250, 255, -1)
            lane.drop(f"large{number}_mask.png", mask)
            lane.drop(f"large{number}.jpg", photo)
        running.wait_for("done", 8, PATIENCE)
        time.sleep(REST)
        after = look(8, running.process.pid, children, state)
    finally:
        running.close()
    added = (after.service_own - before.service_own) >> 10
    tally.counts["20 MiB that a service holds more after large photos"]["MiB"] = added
    assert added < 30


@pytest.mark.soak
def test_thousands_of_jobs(mill, tally):
    one = mill()
    looks = []
    every = max(JOBS // 50, 10)
    while one.jobs < JOBS:
        one.feed(min(every, JOBS - one.jobs))
        one.check()
        looks.append(one.look())
        tally.add("20 looks at a service at rest", "looks", look=line(looks[-1]))
    one.books.check_listed()
    tally.counts["20 jobs, by kind"] = one.kinds
    tally.counts["20 ledger"]["bytes a job"] = looks[-1].ledger // one.jobs
    for name in (*MEASURES, *COUNTS):
        tally.counts["20 drift after the warm-up, in thousandths"][name] = round(
            1000 * drift(looks, name)
        )
    moved = {name: drift(looks, name) for name in (*MEASURES, *COUNTS)}
    assert {name: by for name, by in moved.items() if abs(by) > FLAT.get(name, 0.05)} == {}
