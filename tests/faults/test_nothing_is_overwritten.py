"""Promise 14: nothing is ever overwritten. Whatever asks for a name that is taken gets the next
number: the same name again and again, a hundred at once, names that differ in case or in how their
accents are written, on disks that tell these apart and on one that does not; and whatever the clock
does meanwhile.

Each photo has other bytes, so that it can be told which of them came out where.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
import unicodedata
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from helpers.pictures import blob, texture
from helpers.running import Running, eventually
from helpers.spool import Lanes
from helpers.standing import rows
from helpers.studio import clutter, file, product
from helpers.wall_clock import WallClock

PROMISE = "14 files that wanted a name, by folder"
KEEP = {kind: {"max_age": None} for kind in ("outputs", "archive", "failed")}
"""Clocks that stand wrong by years are the tests of retention's."""
FLAT = "{date:%Y-%m-%d}/{stem}{ext}"
BY_SECOND = "outputs_{date:%Y%m%d%H%M%S}/{stem}{ext}"
ROUNDS, QUICK_ROUNDS = 100, 3
LAX = str(Path(__file__).parent / "lax_rename")
KNOWN = np.ones((160, 220), bool)
KNOWN[40:110, 60:140] = False
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Öl é") for form in ("NFC", "NFD"))
ALIKE = ["photo", "PHOTO", "Photo", "pHoTo", COMPOSED, DECOMPOSED, COMPOSED.upper()]


class Plant:
    """A lane of each task, and what was dropped into them, by its bytes."""

    def __init__(self, folder, *, root=None, path=FLAT):
        self.lanes = Lanes(folder / "root", state=str(folder / "state"))
        lanes = {"output": {"path": path}, "retention": KEEP}
        if root:
            lanes["outbox"], lanes["archive"] = str(root / "outbox"), str(root / "archive")
            lanes["failed"], lanes["review"] = str(root / "failed"), str(root / "review")
        self.state = folder / "state"
        inner = {key: value for key, value in lanes.items() if key != "review"}
        self.inpaint = self.lanes.lane("inpaint", model="flat", **inner)
        self.matte = self.lanes.lane("cutouts", task="matte", matte={"output": "all"}, **lanes)
        self.root, self._number = root, 0
        self.dropped, self.repaired, self.cut, self.doubtful = Counter(), {}, 0, 0
        self.bad = 0

    def pair(self, stem):
        """A photo that no other is like, and its mask."""
        self._number += 1
        photo = texture(self._number)
        self.repaired[_known(photo)] = self._number
        mask = blob()
        mask[60, 80] = 200  # Masks have bytes of their own, too.
        mask[60:66, 80:112] = _pattern(self._number)
        self._drop(self.inpaint, f"{stem}.png.mask.png", _png(mask))
        self._drop(self.inpaint, f"{stem}.png", _png(photo))

    def cutout(self, stem):
        self._number += 1
        self.cut += 1
        self._drop(self.matte, f"{stem}.png", file(product(self._number)))

    def doubt(self, stem):
        self._number += 1
        self.doubtful += 1
        self._drop(self.matte, f"{stem}.png", file(clutter(self._number)))

    def nonsense(self, stem):
        self._number += 1
        self.bad += 1
        self._drop(self.inpaint, f"{stem}.png", f"no picture {self._number}".encode())

    def _drop(self, spool, name, data):
        # As programs do it: the file appears whole.
        hidden = spool.inbox / f".{self._number}.part"
        hidden.write_bytes(data)
        path = spool.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists()
        hidden.rename(path)
        self.dropped[hashlib.sha256(data).hexdigest()] += 1

    def folder(self, spool, role):
        return self.root / role if self.root else spool.root / role

    def empty(self):
        """Whether all that was dropped has been worked on and filed away."""
        if any(spool.files(spool.inbox) for spool in (self.inpaint, self.matte)):
            return False
        found = Counter(row.state for row in rows(self.state))
        return set(found) <= {"done", "quarantined", "cancelled"}

    def check(self, tally):
        """Everything is there once, whole, and under a name of its own."""
        outbox = [self._outputs(spool, "outbox") for spool in (self.inpaint, self.matte)]
        outputs = outbox[0] if self.root else [*outbox[0], *outbox[1]]
        shown = Counter(_known(_decoded(path)) for path in outputs if _is_repaired(path))
        assert shown == Counter(dict.fromkeys(self.repaired, 1))
        self._check_cutouts(outputs, self._outputs(self.matte, "review"))
        kept = Counter(
            hashlib.sha256(path.read_bytes()).hexdigest()
            for spool in ((self.inpaint,) if self.root else (self.inpaint, self.matte))
            for role in ("archive", "failed")
            for path in self._outputs(spool, role)
            if not path.name.endswith(".error.txt")
        )
        assert kept == self.dropped
        texts = [p for p in self._outputs(self.inpaint, "failed") if p.suffix == ".txt"]
        assert len(texts) == self.bad
        for role, count in (("outbox", len(outputs)), ("archive and failed", kept.total())):
            tally.counts[PROMISE][role] += count
        assert not list(Path(self.root or self.lanes.root).rglob(".retouchd-*.tmp"))

    def _check_cutouts(self, outputs, review):
        """A picture, its alpha and its composite share a number, in the outbox as in review."""
        cut = [path for path in outputs if _is_cut_out(path)]
        assert len(cut) == self.cut
        for path in cut:
            assert _beside(path, "_alpha.png").exists()
        doubtful = [path for path in review if _is_cut_out(path)]
        assert len(doubtful) == self.doubtful
        for path in doubtful:
            assert _beside(path, "_alpha.png").exists()
            assert path.with_suffix(".review.txt").exists()
        digests = {hashlib.sha256(path.read_bytes()).digest() for path in [*cut, *doubtful]}
        assert len(digests) == self.cut + self.doubtful

    def _outputs(self, spool, role):
        top = self.folder(spool, role)
        found = (path for path in top.rglob("*") if path.is_file())
        return [path for path in found if not path.name.startswith(".retouchd-")]


def _png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def _pattern(number):
    """A number in black and white, all of it still mask."""
    bits = [255 if number >> bit & 1 else 254 for bit in range(32)]
    return np.array([bits] * 6, np.uint8)


def _known(photo):
    """What tells a photo from all others, and is the same in its repaired one."""
    return hashlib.sha256(np.ascontiguousarray(photo[KNOWN])).hexdigest()


def _decoded(path):
    return cv2.imread(str(path))


def _size_and_mode(path):
    with Image.open(path) as image:
        return image.size, image.mode


def _is_repaired(path):
    return path.suffix == ".png" and _size_and_mode(path) == ((220, 160), "RGB")


def _is_cut_out(path):
    return path.suffix == ".png" and _size_and_mode(path)[1] == "RGBA"


def _beside(path, ending):
    return path.with_name(path.stem + ending)


@pytest.fixture
def clock(tmp_path):
    return WallClock(tmp_path)


def play(plant, tally, rounds, clock=None, between=lambda number: None):
    """The same names in every round, each when those before are filed away."""
    running = Running(plant.lanes, environment=clock.environment if clock else None)
    try:
        for number in range(rounds):
            between(number)
            plant.pair("photo")
            plant.cutout("product")
            plant.doubt("mess")
            plant.nonsense("bad")
            assert eventually(plant.empty, 300), "".join(running.raw[-20:])
        assert running.stop() == 0
    finally:
        running.close()
    plant.check(tally)


@pytest.mark.parametrize("rounds", [QUICK_ROUNDS, pytest.param(ROUNDS, marks=pytest.mark.soak)])
def test_the_same_name_again_and_again(tmp_path, tally, rounds):
    play(Plant(tmp_path), tally, rounds)


@pytest.mark.parametrize("many", [12, pytest.param(100, marks=pytest.mark.soak)])
def test_the_same_name_at_once_from_many_folders(tmp_path, tally, many):
    plant = Plant(tmp_path)
    for number in range(many):
        plant.pair(f"folder{number}/photo")
        plant.cutout(f"folder{number}/product")
    done = plant.lanes.retouchd("once", fast=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    plant.check(tally)
    names = {path.name for path in plant.inpaint.outbox.rglob("photo*.png")}
    assert names == {"photo.png", *(f"photo ({n}).png" for n in range(1, many))}


@pytest.mark.soak
def test_it_would_be_noticed_if_a_rename_replaced_what_is_there(tmp_path, tally):
    path = os.pathsep.join((LAX, os.environ["PYTHONPATH"]))
    plant = Plant(tmp_path)
    for number in range(4):
        plant.pair(f"folder{number}/photo")
    plant.lanes.retouchd("once", fast=True, timeout=600, environment={"PYTHONPATH": path})
    with pytest.raises(AssertionError):
        plant.check(tally)


def drop_alike(plant, rounds=1):
    for number in range(rounds):
        for stem in ALIKE:
            plant.pair(f"{number}/{stem}")


def test_names_that_differ_in_case_or_in_accents_alone(tmp_path, tally):
    plant = Plant(tmp_path)
    drop_alike(plant, 2)
    done = plant.lanes.retouchd("once", fast=True, timeout=600)
    assert done.returncode == 0, done.stderr
    plant.check(tally)
    written = {path.name for path in plant.inpaint.outbox.rglob("*.png")}
    assert {f"{stem}.png" for stem in ALIKE} <= written


@pytest.fixture
def blind_to_case(tmp_path):
    """A disk on which `a` and `A` are one file."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as out:
        out.truncate(64 << 20)
    for command in (
        ["mkfs.ntfs", "-F", "-q", str(image)],
        ["lowntfs-3g", "-o", "ignore_case", str(image), str(folder)],
    ):
        try:
            done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        except FileNotFoundError:
            pytest.skip(f"there is no {command[0]}")
        if done.returncode:
            pytest.skip(f"{command[0]} does not work here: {done.stderr.decode()}")
    (folder / "a").touch()
    assert (folder / "A").exists()
    yield folder
    for _ in range(50):
        if not subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def test_on_a_disk_that_does_not_tell_case_apart(tmp_path, tally, blind_to_case):
    """As on Windows' and most shares: there is no renameat2 that replaces nothing, either."""
    plant = Plant(tmp_path, root=blind_to_case / "lanes")
    drop_alike(plant, 2)
    plant.cutout("Product")
    plant.cutout("0/product")
    done = plant.lanes.retouchd("once", fast=True, timeout=600)
    assert done.returncode == 0, done.stderr
    plant.check(tally)


# --- clocks -------------------------------------------------------------------------------------

MOMENTS = [
    ("2026-10-24 23:59:58", 0),
    ("2026-10-25 00:00:00", 0),
    ("2026-10-25 02:30:00", 0),  # summer time
    ("2026-10-25 02:30:00", 1),  # an hour later the same
    ("2026-10-25 02:30:00", 0),  # set back
    ("2026-03-29 01:59:59", 0),
    ("2026-03-29 03:00:00", 0),
    ("2026-12-31 23:59:59", 0),
    ("2026-10-25 02:30:00", 1),
    ("2020-01-01 00:00:00", 0),
    ("2026-10-25 00:00:00", 0),
]


@pytest.mark.soak
@pytest.mark.parametrize("path", [BY_SECOND, FLAT])
def test_midnight_and_the_hour_that_comes_twice(tmp_path, tally, clock, path):
    """The service runs through all of it; at each moment the same names come."""
    clock.set(*MOMENTS[0])
    plant = Plant(tmp_path, path=path)
    play(plant, tally, len(MOMENTS), clock, lambda number: clock.set(*MOMENTS[number]))
    days = {p.name for p in plant.inpaint.archive.iterdir() if p.is_dir()}
    assert {"2026-10-25", "2026-03-29", "2020-01-01"} <= days
    if path == FLAT:
        assert days >= {p.name for p in plant.inpaint.outbox.iterdir() if p.is_dir()}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_a_clock_that_jumps_all_the_time(tmp_path, tally, clock, seed):
    """Over midnights, forward and back, while jobs are at any step."""
    chance = random.Random(seed)
    clock.set("2026-10-24 23:59:59")
    plant = Plant(tmp_path, path=(FLAT, BY_SECOND)[seed % 2])
    for number in range(30):
        plant.pair(f"folder{number}/photo")
        plant.cutout(f"folder{number}/product")
    running = Running(plant.lanes, environment=clock.environment)
    try:
        deadline = time.monotonic() + 900
        while not plant.empty():
            clock.step(chance.choice((-86400, -3600, -1, 1, 3600, 86400)))
            time.sleep(0.02)
            assert time.monotonic() < deadline, "".join(running.raw[-20:])
        assert running.stop() == 0
    finally:
        running.close()
    plant.check(tally)
