"""Promise 11: a hostile picture can't hurt: the service lives, its memory stays bounded, and the
next good pair is done soon.

One service for all cases; each drops damaged and made-up files as photos and as masks, into a lane
of each task, and a good pair behind them. Whatever becomes of a file, its bytes are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
import tifffile
from PIL import Image, UnidentifiedImageError

from helpers.appetite import MIB, Appetite, allowed
from helpers.bombs import BOMBS
from helpers.kinds import HEIGHT, WIDTH, masks, photos, saved
from helpers.mutants import mutant
from helpers.running import Running, eventually
from helpers.spool import Lanes
from helpers.standing import NAME

PROMISE = "11 hostile pictures, by format and what became of them"
PIXELS = 1_000_000
CAP = (2 << 30) + 40 * PIXELS
"""Of each hand, as config.example.yaml says it."""
SERVICE_GROWTH = 256 * MIB
"""What the service itself, which decodes nothing, may take beyond what it takes idle."""
HAND_AT_MOST = 512 * MIB
"""What a hand may really use for pictures of a megapixel."""
SOON = 30.0
"""Seconds until the next good pair is done, on a machine that has nothing else to do."""
PATIENCE = 600.0
"""Only to end what hangs: campaigns run beside other things."""
BATCH = 50
OPTIONS = ("--set", "scan.incomplete_after=500ms", "--set", "retry.longest=1s")
OVER = ("done", "quarantined", "cancelled")


@dataclass(frozen=True)
class Hostile:
    """A file and what to count it as."""

    label: str
    suffix: str
    data: bytes


class Plant:
    """A service with a lane of each task, and somebody who watches its memory."""

    def __init__(self, folder, children, tally):
        self._tally, self._rounds = tally, 0
        self.lanes = Lanes(folder / "root", hands=4)
        small = {"limits": {"max_pixels": "1MP"}}
        self.inpaint = self.lanes.lane("inpaint", model="flat", **small)
        self.matte = self.lanes.lane("cutouts", task="matte", **small)
        self.running = Running(self.lanes, *OPTIONS)
        self._children = children

    def warm_up(self):
        self.good()
        self.appetite = Appetite(self.running.process.pid, self._children)

    def report(self):
        self.appetite.close()
        for name in ("of_service", "of_hand", "of_all"):
            peak = getattr(self.appetite, name) // MIB
            self._tally.counts["11 memory at its peak, MiB"][name] = peak

    def good(self):
        """Drop a good pair and see it done; gives the seconds that it took."""
        self._rounds += 1
        name = f"good{self._rounds:05d}.png"
        began = time.monotonic()
        self.inpaint.drop(name.replace(".", "_mask."), masks()["png"].data)
        self.inpaint.drop(name, photos()["png"].data)
        self.running.wait_for("done", file=name, timeout=PATIENCE)
        return time.monotonic() - began

    def play(self, files):
        """A batch: each file in one role or another, a good pair, and a look at everything."""
        self._rounds += 1
        tag = f"r{self._rounds:05d}"
        for spool in (self.inpaint, self.matte):
            spool.dropped.clear()
        names = {}
        for number, one in enumerate(files):
            lane, name = self._drop(f"{tag}n{number:03d}", one, number % 4)
            names[lane, name] = one
        took = self.good()
        self._tally.add("11 good pairs, by the seconds that they took", f"under {_rounded(took)}")
        self._await(names, tag)
        self._count(names, tag)
        self._check_kept(tag)
        self._check_memory()
        # Nor does what decoders complain of get in between the service's own words.
        assert all(line.startswith("{") for line in self.running.raw)
        assert self.running.process.poll() is None, "".join(self.running.raw[-30:])
        assert took < SOON * _crowd()

    def _drop(self, stem, one, role):
        """0, 1: a photo to repair. 2: the mask of a good one. 3: a photo to cut out."""
        if role == 3:
            self.matte.drop(f"{stem}{one.suffix}", one.data)
            return "cutouts", f"{stem}{one.suffix}"
        if role == 2:
            self.inpaint.drop(f"{stem}_mask{one.suffix}", one.data)
            self.inpaint.drop(f"{stem}.png", photos()["png"].data)
            return "inpaint", f"{stem}.png"
        self.inpaint.drop(f"{stem}_mask.png", masks()["png"].data)
        self.inpaint.drop(f"{stem}{one.suffix}", one.data)
        return "inpaint", f"{stem}{one.suffix}"

    def _rows(self, tag):
        state = self.lanes.root / "state" / NAME
        query = "SELECT lane, name, state, crashes, error, output, output_role FROM jobs"
        with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=20)) as db:
            found = db.execute(f"{query} WHERE CAST(name AS TEXT) LIKE ?", (f"{tag}%",)).fetchall()
        return [(lane, _text(name), *rest) for lane, name, *rest in found]

    def _await(self, names, tag):
        deadline = time.monotonic() + PATIENCE
        while True:
            over = {(lane, name) for lane, name, state, *_ in self._rows(tag) if state in OVER}
            inboxes = (self.inpaint.inbox, self.matte.inbox)
            if set(names) <= over and not any(list(inbox.glob(f"{tag}*")) for inbox in inboxes):
                return
            assert self.running.process.poll() is None, "".join(self.running.raw[-30:])
            assert time.monotonic() < deadline, (set(names) - over, self.running.raw[-20:])
            time.sleep(0.1)

    def _count(self, names, tag):
        for lane, name, state, crashes, error, output, role in self._rows(tag):
            if (lane, name) not in names or state == "cancelled":
                continue
            one = names[lane, name]
            if state == "done":
                self._check_output(lane, _text(output), role)
            why = "done" if state == "done" else _reason(error)
            self._tally.add(PROMISE, f"{one.label.partition(',')[0]}: {why}", name=name)
            if crashes:
                self._tally.add("11 hands that died, by kind", one.label, crashes=crashes)
            assert crashes <= 2

    def _check_output(self, lane, output, role):
        """Whatever comes out can be read, to its last row."""
        spool = {"inpaint": self.inpaint, "cutouts": self.matte}[lane]
        path = spool.root / role / output
        try:
            with Image.open(path) as picture:
                picture.load()
        except UnidentifiedImageError:  # as gray of 16 bits with alpha, which Pillow does not know
            assert tifffile.imread(path).shape[:2] == (HEIGHT, WIDTH)

    def _check_kept(self, tag):
        """Every byte that was dropped lies in the archive or in quarantine, once."""
        for spool in (self.inpaint, self.matte):
            kept = Counter(
                (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
                for folder in (spool.archive, spool.failed)
                for path in folder.rglob(f"{tag}*")
                if not path.name.endswith(".error.txt")
            )
            dropped = {k: v for k, v in spool.dropped.items() if k.startswith(tag)}
            assert kept == Counter(dropped.items())
            # The text comes last, when the job is over already.
            assert eventually(lambda top=spool.root: not list(top.glob("*/.retouchd-*.tmp")))

    def _check_memory(self):
        # A hand that has just been started has no limit yet.
        pids = self._children(self.running.process.pid)
        assert eventually(lambda: all(allowed(pid) == CAP for pid in pids))
        assert self.appetite.of_hand < HAND_AT_MOST
        assert self.appetite.of_service < self.appetite.idle + SERVICE_GROWTH


def _crowd():
    """How many there are to each processor of this machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _rounded(seconds):
    return next(limit for limit in (2, 5, 10, 20, 30, 60, PATIENCE) if seconds <= limit)


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def _reason(error):
    """The kind of error, from the words that a person reads."""
    kinds = {
        "incomplete": "cut off",
        "not an image": "no picture",
        "kind that is not supported": "refused",
        "over this lane's limit": "too large",
        "mask": "mask",
        "made its process die": "killed its hand",
        "failed": "gave up",
    }
    return next((kind for words, kind in kinds.items() if words in (error or "")), error)


@pytest.fixture(scope="module")
def plant(tmp_path_factory, children, tally):
    made = Plant(tmp_path_factory.mktemp("plant"), children, tally)
    try:
        made.warm_up()
        yield made
        made.report()
    finally:
        made.running.close()


def hostile(numbers):
    made = map(mutant, numbers)
    return [Hostile(one.kind, one.suffix, one.data) for one in made]


def test_some_mutants(plant):
    plant.play(hostile(range(60)))


@pytest.mark.soak
@pytest.mark.parametrize("batch", range(200))
def test_ten_thousand_mutants(plant, batch):
    """Bits, lengths, chunks, segments, directories, boxes: see helpers/mutants.py."""
    plant.play(hostile(range(1000 + batch * BATCH, 1000 + (batch + 1) * BATCH)))


QUICK = (
    "tiff, sides of forty bits",
    "tiff, overlapping directories",
    "tiff, tags that share their value",
    "avif, extents of nothing",
    "webp, a packet of blanks",
)


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(n, marks=pytest.mark.soak) for n in BOMBS if n not in QUICK)]
)
def test_a_bomb_in_every_role(plant, name):
    """As photos, as a mask, and as a photo to be cut out."""
    one = Hostile(f"bomb {name}", BOMBS[name].suffix, BOMBS[name].make())
    plant.play([one] * 4)


STEPS = {
    **dict.fromkeys(("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"), ("RGB",)),
    **dict.fromkeys(("I", "F", "I;16"), ("RGB", "L")),
    **dict.fromkeys(("LA", "PA", "RGBA", "RGBa"), ("RGBA",)),
}
"""What Pillow can convert into each of its modes."""
FORMATS = {
    **{"PNG": ".png", "TIFF": ".tif", "JPEG": ".jpg", "WEBP": ".webp"},
    **{"BMP": ".bmp", "AVIF": ".avif", "GIF": ".jpg", "ICO": ".png"},
}


def odd_modes():
    """A picture in every mode, in every format that can be made of it."""
    rng = np.random.default_rng(3)
    plain = Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    for mode, steps in STEPS.items():
        image = plain
        for step in (*steps, mode):
            image = image.convert(step)
        for format, suffix in FORMATS.items():
            with contextlib.suppress(OSError, ValueError, KeyError):
                yield Hostile(f"mode {mode}", suffix, saved(format, image))


def test_odd_modes(plant):
    """What decoders know and nobody expects."""
    files = list(odd_modes())
    assert len(files) > 50
    plant.play(files)
