"""Finished work that people meddled with, and what retention may delete of it."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import Any

from helpers.keeping import DAY, Keeping, as_config, emptied
from helpers.meddling import CHANGES, SECRET, folder_became_a_link, linked_elsewhere, plant
from helpers.snapshot import Snapshot, snapshot
from helpers.storeroom import Filed, Storeroom
from helpers.tally import Tally
from helpers.wall_clock import WallClock

PROMISE = "15 files that retention looked at, by what became of them"
CLOCKS = "15 prunes of a lane, by the jump of the clock in days"
ROWS = ("kept", "clocks")


class Inventory:
    """A storeroom that people meddled with, and the models of its lanes, by a seed. changed: what
    people did something to. aged_only: without rules that go by sizes."""

    def __init__(
        self, store: Storeroom, clock: WallClock, seed: int, *, aged_only: bool = False
    ) -> None:
        self.store, self.clock, self.chance = store, clock, random.Random(seed)
        store.anew()
        self.elsewhere = store.top / "elsewhere"
        self.elsewhere.mkdir()
        (self.elsewhere / "secret").write_bytes(SECRET)
        self.now = time.time()
        files = [filed for filed in store.filed() if filed.job != store.again]
        self.files = {filed.id: self._aged(filed) for filed in files}
        self.sizes = {number: store.place(f).stat().st_size for number, f in self.files.items()}
        self.changed = self._meddle()
        self._aged_only = aged_only
        store.pruned_at(self.now)
        self.lanes = {lane: self._rules(lane) for lane in store.folders}

    def _aged(self, filed: Filed) -> Filed:
        old = self.chance.choice((self.chance.uniform(-40, 250), self.chance.uniform(0, 60)))
        self.store.let_be(filed, self.now - old * DAY)
        return replace(filed, at=self.now - old * DAY)

    def _meddle(self) -> set[int]:
        places = {number: self.store.place(filed) for number, filed in self.files.items()}
        changed = {number for number in places if self.chance.random() < 0.25}
        for number in changed:
            CHANGES[self.chance.choice(list(CHANGES))](places[number], self.elsewhere)
        for number in self.files.keys() - changed:
            if self.chance.random() < 0.1:
                linked_elsewhere(places[number], self.elsewhere)
        folders = sorted({place.parent for place in places.values()})
        for folder in self.chance.sample(folders, 4):
            plant(folder, self.elsewhere, self.chance)
        linked = self.chance.choice(folders)
        if self.chance.random() < 0.5:
            folder_became_a_link(linked, self.elsewhere)
            changed |= {n for n, place in places.items() if linked in place.parents}
        return changed

    def _rules(self, lane: str) -> Keeping:
        chance = self.chance
        files = [filed for filed in self.files.values() if filed.lane == lane]
        total = sum(self.sizes[filed.id] for filed in files)
        kinds = ("outputs", "archive", "failed")
        rules = Keeping(
            files,
            self.sizes,
            self.changed,
            seen=self.now,
            newest=self.now,
            max_age={kind: chance.choice((None, 5, 30, 90, 90, 300)) for kind in kinds},
            max_size={kind: chance.choice((None, None, chance.randrange(total))) for kind in kinds},
            brake=chance.choice((0.3, 0.5, 0.5, 1.0)),
        )
        if self._aged_only:
            rules.max_size = dict.fromkeys(kinds)
        elif self.store.tmpfs and chance.random() < 0.4:
            rules.min_free = self.store.free() + chance.randrange(total)
        self.store.rules(lane, as_config(rules))
        return rules

    def step(self, jump: float, *, force: bool, tally: Tally) -> None:
        """Set the clock, prune, and hold the product against the model."""
        self.clock.step(jump * DAY)
        now = self.clock.now()
        before, known = snapshot(self.store.top), self._ledger()
        expected = self.expected(now, force=force)
        wanted = sorted(str(self.store.place(self.files[number])) for number in expected)
        options = ("--force",) if force else ()
        assert sorted(self._prune("--dry-run", *options)) == wanted
        assert snapshot(self.store.top) == before
        assert self._ledger() == known
        assert sorted(self._prune(*options)) == wanted
        self._check_disk(before, expected)
        self._check_ledger(now, expected, force=force)
        for lane in self.lanes.values():
            if not lane.braked:
                lane.seen = now
                lane.newest = _believed(lane, now) if force else max(now, lane.newest)
            tally.counts[CLOCKS][f"{jump:+.2f}{', braked' * lane.braked}"] += 1
        tally.counts[PROMISE]["deleted"] += len(expected)
        tally.counts[PROMISE]["stays, changed by a person"] += len(self.changed & {*self.files})
        tally.counts[PROMISE]["stays"] += len(self.files.keys() - self.changed)

    def expected(self, now: float, *, force: bool) -> set[int]:
        """What a prune of all lanes deletes. A lane whose goal is out of reach even with all that
        they give up together gives up nothing for it, and the others have to see without."""
        hopeless = set[str]()
        while True:
            free, expected = self.store.free(), set[int]()
            for name, lane in self.lanes.items():
                due = lane.due(now, free, force=force, finding=name not in hopeless)
                free += sum(self.sizes[number] for number in due)
                expected |= due
            missed = {name for name, lane in self.lanes.items() if lane.misses(free)} - hopeless
            if not missed:
                return expected
            hopeless |= missed

    def _prune(self, *options: str) -> list[str]:
        environment = self.clock.environment
        done = self.store.lanes.retouchd("prune", "--json", *options, environment=environment)
        assert done.returncode == 0, done.stderr
        return [entry["path"] for entry in json.loads(done.stdout)["files"]]

    def _ledger(self) -> list[Any]:
        with self.store.ledger() as db:
            return [db.execute(f"SELECT * FROM {name}").fetchall() for name in ROWS]

    def _check_disk(self, before: Snapshot, expected: set[int]) -> None:
        """What was due is gone, with the folders that this left empty; nothing else has changed."""
        top = self.store.top
        paths = {
            n: str(self.store.place(filed).relative_to(top)) for n, filed in self.files.items()
        }
        doomed = {paths[number] for number in expected}
        assert doomed <= before.keys()
        after = snapshot(top)
        marked = {f"{p}/" if len(entry) == 1 else p for p, entry in before.items()} - doomed
        forgotten = self.files.keys() - {filed.id for filed in self.store.filed()}
        folders = {p.rstrip("/") for p in emptied((paths[n] for n in forgotten), marked)}
        wanted = {p: entry for p, entry in before.items() if p not in doomed | folders}
        assert _without_links(after) == _without_links(wanted)
        assert (self.elsewhere / "secret").read_bytes() == SECRET

    def _check_ledger(self, now: float, expected: set[int], *, force: bool) -> None:
        """What was deleted is forgotten, and what else is was not retouchd's any more."""
        left = {filed.id: filed for filed in self.store.filed() if filed.job != self.store.again}
        assert left.keys() <= self.files.keys() - expected
        assert self.files.keys() - left.keys() <= expected | self.changed
        for number, filed in left.items():
            later = force and self.files[number].at > now
            assert filed.at == self.files[number].at or (later and now <= filed.at < now + 120)
        self.files = left
        for name, lane in self.lanes.items():
            lane.files = [filed for filed in left.values() if filed.lane == name]


def _without_links(found: Snapshot) -> Snapshot:
    """A name that somebody gave a file elsewhere has one companion less when the file is gone."""
    return {p: (*e[:2], *e[3:]) if "linked " in p else e for p, e in found.items()}


def _believed(lane: Keeping, now: float) -> float:
    """The time that the product went by, a moment later: to which it set what was later still."""
    return max([now, *(filed.at for filed in lane.files if filed.at < now + 120)])
