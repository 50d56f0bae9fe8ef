"""Promise 9: partial uploads are never processed; the output is that of the final bytes.

Files come in every way in which programs write them, with pauses, also longer ones than a file has
to be still for where its format tells that its end is missing; they are broken off, rewritten and
replaced while their job waits, runs or is done. One inbox tells events, one is only listed, one
lies on a share. Beside these, tests/e2e/test_drop_contract.py has single uploads.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import cv2
import numpy as np
import pytest

from helpers.campaign import PATIENT
from helpers.pictures import blob, texture
from helpers.running import eventually
from helpers.samba import Samba
from helpers.spool import Lanes, Spool
from helpers.standing import rows
from helpers.uploads import WAYS, pauses

PROMISE = "9 uploads, by way and folder"
SETTLE = 1.0
OPTIONS = (*PATIENT, "--set", f"scan.settle={SETTLE:g}s", "--set", "scan.remote=500ms")
WITH_END = (".png", ".jpg", ".webp")
"""Formats of which one sees that the end is missing."""
PLAIN = (".bmp", ".tif")
PLACES = ("events", "listed", "share")


def encoded(seed, suffix):
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tif" else []
    return cv2.imencode(suffix, texture(seed), options)[1].tobytes()


class Plant:
    """A lane whose folder's mask serves every photo, so that a photo alone is work."""

    def __init__(self, tmp_path, place, make_share):
        self.lanes = Lanes(tmp_path / "root")
        scan = {"watch": "scan"} if place == "listed" else {}
        self.lanes.top["scan"] = scan
        if place == "share":
            share = make_share()
            self.lanes.lane("only", model="flat", root=str(share.folder))
            self.spool = Spool(share.source, self.lanes.where)
        else:
            self.spool = self.lanes.lane("only", model="flat")
        self.spool.drop("_mask.png", blob())
        self._versions = Spool(tmp_path / "versions")
        self._versions.drop("_mask.png", blob())

    def results_of(self, versions):
        """What becomes of whole files; versions: names (with the suffix) → bytes."""
        for name, data in versions.items():
            self._versions.drop(name, data)
        done = self._versions.once("--model", "flat")
        assert done.returncode == 0, done.stderr
        found = self._versions.digests(self._versions.outbox)
        return {name: found[name] for name in versions}

    def rows(self, name):
        return [row for row in rows(self.lanes.root / "state") if row.name == name]

    def done(self, names):
        return all([row.state for row in self.rows(name)][-1:] == ["done"] for name in names)

    def outputs(self):
        return self.spool.digests(self.spool.outbox)


@pytest.fixture
def make_plant(tmp_path, make_share):
    return lambda place: Plant(tmp_path, place, make_share)


def upload(plant, running, seed, number_of_rounds):
    """Each way in some format, all at once; gives the names and their bytes."""
    chance, threads, final = random.Random(seed), [], {}
    for number in range(number_of_rounds * len(WAYS)):
        way = WAYS[number % len(WAYS)]
        # Of what is moved or linked in whole nobody sees a part, and zeros may be a picture's end.
        suffix = chance.choice(WITH_END if chance.random() < 0.6 else PLAIN)
        longest = 2.5 * SETTLE if suffix in WITH_END else 0.4 * SETTLE
        name = f"{way.__name__}{number}{suffix}"
        final[name] = encoded(1000 * seed + number, suffix)
        path, pause = plant.spool.inbox / name, pauses(random.Random(name), 0.2, longest)
        threads.append(threading.Thread(target=way, args=(path, final[name], pause)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert eventually(lambda: plant.done(final), 300), "".join(running.raw[-40:])
    return final


def play(plant, start_all, tally, place, seed, number_of_rounds):
    running = start_all(plant.lanes, *OPTIONS)
    running.wait_for("watching")
    final = upload(plant, running, seed, number_of_rounds)
    assert running.stop() == 0
    assert plant.outputs() == plant.results_of(final)
    assert plant.spool.files(plant.spool.failed) == []
    assert plant.spool.files(plant.spool.inbox) == ["_mask.png"]
    for name in final:
        assert [row.state for row in plant.rows(name)] == ["done"]
    for way in WAYS:
        ways = Counter({f"{way.__name__}, {place}": number_of_rounds})
        tally.add(PROMISE, ways)


@pytest.mark.parametrize("place", [pytest.param("events", marks=pytest.mark.soak), "share"])
def test_uploads_are_taken_whole(start_all, make_plant, tally, place):
    play(make_plant(place), start_all, tally, place, 1, 1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("place", PLACES)
def test_many_uploads_are_taken_whole(start_all, make_plant, tally, place, seed):
    play(make_plant(place), start_all, tally, place, seed, 4)


def rewrite(path, data):
    path.write_bytes(data)


def replace(path, data):
    hidden = path.with_name(f"{path.name}.part")
    hidden.write_bytes(data)
    hidden.replace(path)


@pytest.mark.parametrize(
    ("place", "count"),
    [pytest.param(place, 20, marks=pytest.mark.soak) for place in PLACES],
)
def test_files_rewritten_while_they_are_worked_on(start_all, make_plant, tally, place, count):
    """Every output is that of a whole version, and that of the last one is there."""
    plant, chance = make_plant(place), random.Random(place)
    running = start_all(plant.lanes, *OPTIONS)
    running.wait_for("watching")
    versions, last = {}, {}
    for number in range(count):
        for how in (rewrite, replace):
            name = f"{how.__name__}{number}.png"
            path = plant.spool.inbox / name
            for version in range(3):
                data = encoded(10_000 + 100 * number + 10 * version + len(how.__name__), ".png")
                versions[f"{path.stem}v{version}.png"] = data
                how(path, data)
                if version < 2:
                    running.wait_for("running", version + 1, file=name)
                    time.sleep(chance.choice((0, 0, 0.05, 0.2)) * chance.random())
            last[name] = f"{path.stem}v2.png"
        tally.add(PROMISE, f"rewritten while worked on, {place}")
    assert eventually(lambda: plant.done(last), 300), "".join(running.raw[-40:])
    assert running.stop() == 0
    expected, found = plant.results_of(versions), plant.outputs()
    for name, final in last.items():
        mine = {out: digest for out, digest in found.items() if belongs(out, name)}
        whole = {expected[v] for v in versions if v.rpartition("v")[0] == name.removesuffix(".png")}
        assert set(mine.values()) <= whole
        assert expected[final] in mine.values()
    assert plant.spool.files(plant.spool.failed) == []
    assert plant.spool.files(plant.spool.inbox) == ["_mask.png"]


def belongs(output, name):
    """Whether it is called so, perhaps with a number."""
    stem = name.removesuffix(".png")
    return output == name or output.startswith(f"{stem} (")


@pytest.fixture
def samba(request, tmp_path):
    made = []

    def serve(folder):
        made.append(Samba(folder, tmp_path / "samba"))
        return made[-1]

    yield serve
    for server in made:
        server.close()


def noise(seed):
    """A photo that takes some time to upload: some 25 MB."""
    pixels = np.random.default_rng(seed).integers(0, 256, (2400, 3400, 3), np.uint8)
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes()


def kill_in_the_middle(samba, local, path, chance, tries=20):
    """Have an upload killed when some of the file is there; gives how much came."""
    size = local.stat().st_size
    for _ in range(tries):
        before = path.stat().st_size if path.exists() else 0
        client, at_least = samba.put(local, path.name), chance.uniform(0, 0.5) * size
        while client.poll() is None:
            now = path.stat().st_size if path.exists() else 0
            if now != before and at_least <= now < size:
                break
            time.sleep(0.001)
        client.kill()
        client.wait(30)
        time.sleep(0.3)
        if path.exists() and path.stat().st_size < size:
            return path.stat().st_size
    return pytest.skip("uploads end too fast here to be killed")


@pytest.mark.parametrize(
    "kills", [pytest.param(n, marks=pytest.mark.soak) for n in (2, 25)], ids=["few", "many"]
)
def test_uploads_by_smb_that_are_killed_are_waited_for(
    start_all, make_plant, samba, tally, tmp_path, kills
):
    """The server closes what came as if it were whole; then the upload is begun anew."""
    plant, chance = make_plant("events"), random.Random(5)
    server = samba(plant.spool.inbox)
    local = tmp_path / "photo.png"
    local.write_bytes(noise(1))
    plant.spool.drop("_mask.png", cv2.resize(blob(), (3400, 2400), interpolation=0))
    running = start_all(plant.lanes, *OPTIONS)
    running.wait_for("watching")
    for _ in range(kills):
        size = kill_in_the_middle(server, local, plant.spool.inbox / "photo.png", chance)
        time.sleep(2.5 * SETTLE)
        assert {row.state for row in plant.rows("photo.png")} <= {"waiting"}
        assert plant.outputs() == {}
        tally.add(PROMISE, "killed, by SMB", bytes=size)
    assert server.put(local, "photo.png").wait(120) == 0
    assert eventually(lambda: plant.done(["photo.png"]), 120), "".join(running.raw[-40:])
    assert running.stop() == 0
    plant._versions.drop("_mask.png", cv2.resize(blob(), (3400, 2400), interpolation=0))
    assert plant.outputs() == plant.results_of({"photo.png": local.read_bytes()})
    assert plant.spool.files(plant.spool.failed) == []
