"""Promise 17, its other half: what is loaded is what was verified, whoever exchanges, rewrites or
cuts off the file meanwhile; and those who drop files have no say in which that is."""

from __future__ import annotations

import os
import random
import shutil
import threading
from pathlib import Path

import pytest

from helpers.bait import digest_of, models, pin, refused
from helpers.hostile_models import flipped
from helpers.spool import Spool
from helpers.studio import file, product
from helpers.tiny_network import install

CHECKOUT = Path(__file__).parents[2]
SWAPPED = Path(__file__).parent / "swapped_file"
ROUNDS = 10
IGNORED = shutil.ignore_patterns("__pycache__", "training")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


@pytest.mark.soak
@pytest.mark.parametrize("by", ["path", "manifest"])
@pytest.mark.parametrize("kind", ["another network", "a program"])
def test_a_file_that_is_exchanged_between_two_looks(bait, spool, make_lama, tally, by, kind):
    """Just before it is opened for the first, second … time; what it is then is either what was
    hashed, or refused."""
    good, swaps = bait.lama.read_bytes(), 0
    other = make_lama("other", seed=1).read_bytes()
    if kind == "a program":
        other = bait.files["a program"].read_bytes()
    path, waiting = bait.folder / "mine.safetensors", bait.folder / "waiting"
    pin(spool, mine=(path, digest_of(good)))
    for number in range(1, 9):
        path.write_bytes(good)
        waiting.write_bytes(other)
        model = str(path) if by == "path" else "mine"
        done = spool.retouchd(
            *("models", "verify", model),
            environment={
                "RETOUCHD_TEST_SWAP": f"{path}\n{waiting}\n{number}",
                "PYTHONPATH": os.pathsep.join((str(SWAPPED), os.environ["PYTHONPATH"])),
            },
        )
        bait.check()
        if waiting.exists():
            break
        swaps += 1
        # Until it was hashed it is simply another file, which a path alone would mean.
        fine = by == "path" and number <= 2 and kind == "another network"
        assert done.returncode == (0 if fine else 2), (number, done.stdout, done.stderr)
        tally.add("17 files exchanged between two looks", f"{kind}, by {by}, look {number}")
    assert swaps >= (2 if by == "manifest" else 3)
    assert done.returncode == 0


@pytest.mark.soak
def test_a_file_that_changes_while_it_is_read(bait, spool, tally):
    """Rewritten and cut off all the time: what is loaded was whole and the one pinned."""
    path = bait.folder / "mine.safetensors"
    good = bait.lama.read_bytes()
    pin(spool, mine=(path, digest_of(good)))
    path.write_bytes(good)
    stop = threading.Event()

    def rewrite():
        chance = random.Random(1)
        while not stop.wait(0.0005):
            kind = chance.randrange(4)
            with path.open("r+b") as file:
                if kind == 0:
                    file.truncate(chance.randrange(len(good)))
                elif kind == 1:
                    file.write(flipped(good, chance.random()))
                else:
                    file.write(good)
                    file.truncate(len(good))

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(ROUNDS):
            done = spool.retouchd("models", "verify", *["mine"] * 20)
            assert done.returncode in (0, 2)
            assert "Traceback" not in done.stderr
            lines = done.stderr.splitlines()
            assert len(lines) + len(done.stdout.splitlines()) == 20, done.stderr
            assert all("was expected" in line or "not a valid" in line for line in lines)
            tally.counts["17 files that changed while they were read"]["refused"] += len(lines)
            tally.counts["17 files that changed while they were read"]["whole"] += 20 - len(lines)
    finally:
        stop.set()
        thread.join()


@pytest.mark.soak
def test_what_comes_with_retouchd_is_pinned_as_well(tmp_path, spool):
    """Its own network's weights, one bit of which was changed on the disk."""
    copy = tmp_path / "installed"
    for folder in ("daemon", "models"):
        shutil.copytree(CHECKOUT / folder, copy / folder, ignore=IGNORED)
    environment = {"PYTHONPATH": str(copy / "daemon")}
    weights = copy / "models" / "cvunet-compact.safetensors"
    spool = Spool(spool.root, ("--root", str(spool.root)))
    assert spool.retouchd("models", "verify", environment=environment).returncode == 0
    weights.write_bytes(flipped(weights.read_bytes(), 0.7))
    assert spool.retouchd("models", "verify", environment=environment).returncode == 2
    refused(spool, "was expected", model="", environment=environment)
    weights.unlink()
    refused(spool, "can't be read", model="", environment=environment)


@pytest.mark.soak
def test_those_who_drop_files_have_no_say(bait, spool, monkeypatch):
    """Manifests and weights in the inbox, where the service also was started from."""
    install(models(spool))
    good = (models(spool) / "mine.safetensors").read_bytes()
    pickle = bait.files["a pickle that creates a file"].read_bytes()
    manifest = (models(spool) / "manifest.yaml").read_bytes()
    wrong = manifest.replace(digest_of(good).encode(), digest_of(pickle).encode())
    for folder in ("", "models/", ".retouchd/models/", "state/models/"):
        spool.drop(f"{folder}manifest.yaml", wrong)
        spool.drop(f"{folder}mine.safetensors", pickle)
        spool.drop(f"{folder}mine", pickle)
    spool.drop("matte/photo.png", file(product()))
    monkeypatch.chdir(spool.inbox)
    done = spool.once("--model", "mine")
    assert done.returncode == 3, done.stderr
    (job,) = [job for job in spool.jobs() if job["state"] == "done"]
    assert (job["name"], job["model"]) == ("photo.png", "mine")
    bait.check()


@pytest.mark.parametrize("role", ["inbox", "outbox", "archive", "failed"])
def test_models_do_not_lie_where_people_drop_or_take_files(spool, role):
    inside = spool.root / role / "deep" / "models"
    done = spool.retouchd("models", "list", "--set", f"models={inside}")
    assert done.returncode == 2
    assert f"lies inside {role} of lane" in done.stderr
