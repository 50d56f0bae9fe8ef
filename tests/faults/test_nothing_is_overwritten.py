"""Promise 14: nothing is ever overwritten. Whatever asks for a name that is taken gets the next
number: the same name again and again, a hundred at once, names that differ in case or in how their
accents are written, on disks that tell these apart and on one that does not; and whatever the clock
does meanwhile.

Each photo has other bytes, so that it can be told which of them came out where.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
import unicodedata
from pathlib import Path

import pytest

from helpers.namesakes import FLAT, Namesakes
from helpers.running import Running, eventually
from helpers.wall_clock import WallClock

BY_SECOND = "outputs_{date:%Y%m%d%H%M%S}/{stem}{ext}"
ROUNDS, QUICK_ROUNDS = 100, 3
LAX = str(Path(__file__).parent / "lax_rename")
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Öl é") for form in ("NFC", "NFD"))
ALIKE = ["photo", "PHOTO", "Photo", "pHoTo", COMPOSED, DECOMPOSED, COMPOSED.upper()]


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
    play(Namesakes(tmp_path), tally, rounds)


@pytest.mark.parametrize("many", [12, pytest.param(100, marks=pytest.mark.soak)])
def test_the_same_name_at_once_from_many_folders(tmp_path, tally, many):
    plant = Namesakes(tmp_path)
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
    plant = Namesakes(tmp_path)
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
    plant = Namesakes(tmp_path)
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
    plant = Namesakes(tmp_path, root=blind_to_case / "lanes")
    drop_alike(plant, 2)
    plant.cutout("Product")
    plant.cutout("0/product")
    done = plant.lanes.retouchd("once", fast=True, timeout=600)
    assert done.returncode == 0, done.stderr
    plant.check(tally)


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
    plant = Namesakes(tmp_path, path=path)
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
    plant = Namesakes(tmp_path, path=(FLAT, BY_SECOND)[seed % 2])
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
