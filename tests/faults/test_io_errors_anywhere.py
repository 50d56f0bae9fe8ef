"""Promise 3: a disk or share that errs, at any call, once or until further notice: never a false
`done`, never a lost original; and when it is well again, every pair is finished exactly once, by
itself, in the same service.

One service for all cases; each case drops a round of its own, is struck by one fault, and ends when
the round is done.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import random
import time
from collections import Counter

import pytest

from helpers.campaign import PATIENT, Campaign, subject
from helpers.reader import Reader
from helpers.running import Running
from helpers.shim import CALLS, COUNT, SHORT, Fault, Shim
from helpers.standing import rows

PROMISE = "3 faults felt, by call"
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ESTALE")
OF_LANES = (
    *("open", "read", "write", "fsync", "fsync_folder", "rename", "unlink", "mkdir", "stat"),
    "list",
)
OF_STATE = ("open", "read", "pwrite", "fdatasync", "stat")
QUICK = [
    ("root", "fsync", "EIO", 1, 1),
    ("root", "rename", "EIO", 3, 3),
    ("root", "rename", "EIO", 5, 99),
    ("root", "write", "ENOSPC", 2, 2),
    ("root", "read", "EIO", 9, 12),
    ("root", "fsync_folder", "EDQUOT", 2, 2),
    ("state", "fdatasync", "EIO", 4, 4),
    ("state", "pwrite", "EIO", 8, 8),
]
PATIENCE = 900.0
"""Only to end what hangs: campaigns run beside other things, at low priority."""


class Plant:
    """A service that is struck again and again. What has become of its first round, without any
    fault, is what must become of all."""

    def __init__(self, folder, library, tally, model="flat"):
        self.campaign = Campaign(folder / "root", model)
        self.shim, self._tally = Shim(library, folder / "shim"), tally
        self._rounds, self._names = 0, []
        self.reader = Reader(self.campaign.root, folder / "reader")
        self.running = Running(self.campaign.lanes, *PATIENT, environment=self.shim.environment)
        self.shim.serve(self.running.process.pid)

    def warm_up(self):
        """The first round, without a fault."""
        self.drop()
        self._await(set(self._names))
        self._whole = {name: digest for name, (digest, _) in self._outputs().items()}
        assert len(self._whole) == 5
        self._check(self._names)

    def close(self):
        self.running.close()
        self.reader.stop()
        self._tally.counts["4 whole outputs read meanwhile"]["readings"] += self.reader.reads
        self.reader.check()

    def drop(self):
        """A pair of PNGs, one of JPEGs, and a photo with a rough mask for the other lane."""
        self._rounds += 1
        tag, inpaint, matte = f"{self._rounds:04d}", self.campaign.inpaint, self.campaign.matte
        inpaint.drop_pair(f"a{tag}", ".png", seed=7)
        inpaint.drop_pair(f"b{tag}", ".jpg", seed=7)
        photo, mask = subject(3)
        matte.drop(f"c{tag}_mask.png", mask)
        matte.drop(f"c{tag}.png", photo)
        self._names = [f"a{tag}.png", f"b{tag}.jpg", f"c{tag}.png"]
        return tag

    def under(self, where):
        """A text that is in the paths of the lanes, or of the state folder."""
        return f"{self.campaign.root}/{'state' if where == 'state' else ''}"

    def counted(self, where, call):
        """How many such calls a round makes."""
        with self.shim.fault(Fault((call,), COUNT, self.under(where))):
            self.drop()
            self._await(set(self._names))
            return self.shim.felt().counted

    def play(self, where, call, action, first, last, label):
        """One case; returns whether the fault was felt."""
        with self.shim.fault(Fault((call,), action, self.under(where), first, last)):
            self.drop()
            names = self._names
            self._while_it_lasts(names)
            felt = self.shim.felt()
        self._await(set(names))
        self._check(names)
        if felt.hits:
            self._tally.add(PROMISE, f"{where} {call}", error=label, at=felt.what, hits=felt.hits)
        return felt.hits > 0

    def _while_it_lasts(self, names, seconds=2.5):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._done(set(names)):
            time.sleep(0.2)
        self._check_nothing_false(names)

    def _done(self, names):
        found = rows(self.campaign.state_folder)
        return names == {row.name for row in found if row.state == "done" and row.name in names}

    def _await(self, names):
        deadline = time.monotonic() + PATIENCE
        while not self._done(names):
            assert self.running.process.poll() is None, "".join(self.running.raw[-30:])
            assert time.monotonic() < deadline, self._story(names)
            time.sleep(0.1)

    def _story(self, names):
        stand = [row for row in rows(self.campaign.state_folder) if row.name in names]
        return f"not done: {stand}\n{''.join(self.running.raw[-40:])}"

    def _outputs(self):
        """Visible outputs: kind of name (the tag left out) → content hash and path; of this round
        only."""
        tag = self._names[0][1:5]
        found = {}
        for spool in self.campaign.spools.values():
            for folder in (spool.outbox, spool.root / "review"):
                for path in folder.rglob(f"?{tag}*"):
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    found[path.name.replace(tag, "", 1)] = (digest, path)
        return found

    def _check_nothing_false(self, names):
        """Whatever is said to be done is out, whole; whatever is out is whole; no original is gone
        or there twice."""
        done = {row.name for row in rows(self.campaign.state_folder) if row.state == "done"}
        out = {name: digest for name, (digest, _) in self._outputs().items()}
        assert set(out.items()) <= set(self._whole.items())
        tag = names[0][1:5]
        assert {name.replace(tag, "", 1) for name in set(names) & done} <= set(out)
        for _ in range(5):
            if self._originals() == self._dropped():
                return
            time.sleep(0.2)  # One may have been moved between two folders' listings.
        assert self._originals() == self._dropped()

    def _originals(self):
        tag = self._names[0][1:5]
        return Counter(
            (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
            for spool in self.campaign.spools.values()
            for folder in (spool.inbox, spool.archive, spool.failed)
            for path in folder.rglob(f"?{tag}*")
            if path.is_file()
        )

    def _dropped(self):
        tag = self._names[0][1:5]
        return Counter(
            (name, digest)
            for spool in self.campaign.spools.values()
            for name, digest in spool.dropped.items()
            if name[1:5] == tag
        )

    def _check(self, names):
        """This round is finished, exactly once."""
        found = self._outputs()
        assert {name: digest for name, (digest, _) in found.items()} == self._whole
        assert self._originals() == self._dropped()
        for spool in self.campaign.spools.values():
            for folder in (spool.inbox, spool.failed):
                assert not list(folder.rglob(f"?{names[0][1:5]}*")), self._story(set(names))
        mine = [row for row in rows(self.campaign.state_folder) if row.name in names]
        live = [row for row in mine if row.state != "cancelled"]
        assert Counter((row.name, row.state) for row in live) == Counter((n, "done") for n in names)
        # A round is done when the ledger says so; the last temporary file goes before that.
        left = [str(path) for path in self.campaign.root.glob("*/*/.retouchd-*.tmp")]
        assert left == [], self._story(set(names))


def make_plant(tmp_path_factory, library, tally, model):
    plant = Plant(tmp_path_factory.mktemp("plant"), library, tally, model)
    try:
        plant.warm_up()
        yield plant
    finally:
        plant.close()


@pytest.fixture(scope="module")
def plant(tmp_path_factory, library, tally):
    yield from make_plant(tmp_path_factory, library, tally, "flat")


@pytest.fixture(scope="module")
def plant_of_default_model(tmp_path_factory, library, tally):
    yield from make_plant(tmp_path_factory, library, tally, "classical")


@pytest.mark.parametrize(("where", "call", "error", "first", "last"), QUICK)
def test_a_call_that_fails(plant, where, call, error, first, last):
    assert plant.play(where, call, getattr(errno, error), first, last, error), "it was not felt"


def moments(count, chance, most):
    """At every call of a round where they are few, else at a sample; once, and from there on."""
    numbers = range(1, count + 1)
    some = numbers if count <= most else sorted(chance.sample(numbers, most))
    yield from ((n, n) for n in some)
    yield from ((n, 1 << 40) for n in chance.sample(list(some), min(2, len(some))))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("where", "call", "error"),
    [
        *(("root", *case) for case in itertools.product(OF_LANES, ERRORS)),
        *(("state", *case) for case in itertools.product(OF_STATE, ("EIO", "ENOSPC", "EROFS"))),
    ],
)
def test_any_call_that_fails(plant, where, call, error):
    chance = random.Random(f"{where} {call} {error}")
    count = plant.counted(where, call)
    felt = [
        plant.play(where, call, getattr(errno, error), first, last, error)
        for first, last in moments(count, chance, 6)
    ]
    assert any(felt) or not count


@pytest.mark.soak
@pytest.mark.parametrize("call", ["read", "write", "pwrite"])
def test_calls_that_do_half(plant, call):
    """No error: a read or write may always do less than it was asked for."""
    where = "state" if call == "pwrite" else "root"
    assert plant.play(where, call, SHORT, 1, 1 << 40, "short")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(30))
def test_any_call_that_fails_under_the_default_model(plant_of_default_model, seed):
    chance = random.Random(seed)
    call, error = chance.choice(OF_LANES), chance.choice(ERRORS)
    first = chance.randint(1, 12)
    last = chance.choice((first, 1 << 40))
    plant_of_default_model.play("root", call, getattr(errno, error), first, last, error)


def drops(campaign):
    campaign.drop()
    campaign.later()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(60))
def test_a_run_that_begins_on_a_bad_disk(campaign, shim, expected_of, tally, reader, seed):
    """The faults are there from the first call on: folders and ledger are still to be made. It ends
    with a sentence and no traceback, and the next run ends exactly once."""
    chance = random.Random(seed)
    where, error = chance.choice(("root", "state")), chance.choice(ERRORS)
    call = chance.choice(OF_LANES if where == "root" else OF_STATE)
    under = str(campaign.root if where == "root" else campaign.state_folder)
    first = chance.randint(1, 30)
    last = chance.choice((first, first + 3, 1 << 40))
    reader(campaign.root)
    drops(campaign)
    with shim.fault(Fault((call,), getattr(errno, error), under, first, last)):
        done = campaign.lanes.retouchd("once", *PATIENT, timeout=1800, environment=shim.environment)
        felt = shim.felt()
    assert "Traceback" not in done.stderr
    # 2 would mean that systemd does not try again.
    assert done.returncode in (0, 3, 75), done.stderr
    if felt.hits:
        tally.add("3 faults felt from the start, by call", f"{where} {call}", error=error)
    campaign.finish()
    campaign.check_exactly_one(expected_of(drops))


def test_the_calls_have_names_that_the_shim_knows():
    assert {*OF_LANES, *OF_STATE} <= set(CALLS)
