"""Promise 20, the first half: honest. There is one service; and what `status` counts, what the
ledger holds and what lies on the disk are the same, however a job ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers.books import Books
from helpers.pictures import blob, texture
from helpers.running import Running, eventually
from helpers.spool import Lanes, Spool
from helpers.studio import clutter, file, product, rough

MANY = 20
RACES = 5
ENDED = {0, 4}


class House:
    """A lane of each task, whose accounts can be looked at; the second makes three files of each
    photo."""

    def __init__(self, root: Path) -> None:
        self.lanes = Lanes(root)
        self.inpaint = self.lanes.lane("inpaint", model="flat", output={"duplicates": "reuse"})
        matte = {"output": "all", "bg_color": "white"}
        self.matte = self.lanes.lane("cutouts", task="matte", matte=matte)
        self.spools = {"inpaint": self.inpaint, "cutouts": self.matte}
        self.state = root / "state"
        self.books = Books(self.lanes, self.state, self.spools)
        self.wanted: Counter[tuple[str, str]] = Counter()

    def once(self, code: int) -> None:
        done = self.lanes.once()
        assert done.returncode == code, done.stderr

    def check(self, **changes: int) -> None:
        """The books agree, and with what is known to have been dropped. changes: by state, so many
        jobs more, of the inpainting lane; those of the other begin with ``cut_``."""
        for name, count in changes.items():
            lane = "cutouts" if name.startswith("cut_") else "inpaint"
            self.wanted[lane, name.removeprefix("cut_")] += count
        assert self.books.states() == +self.wanted
        assert self.books.settled()
        self.books.check()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "root")


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*args: object, **how: object) -> Running:
        started.append(Running(*args, **how))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for running in started:
        running.close()


def test_the_books_agree_after_every_kind_of_ending(house: House) -> None:
    """Done, set aside, in review, waiting; then cancelled, taken away, tried again, done again with
    a mask, answered from an earlier output; then pruned."""
    inpaint, matte = house.inpaint, house.matte
    inpaint.drop_pair("pair", ".jpg")
    inpaint.drop("bad.png", b"this is no picture")
    inpaint.drop("list.txt", b"neither is this")
    inpaint.drop("small.png", texture(1))
    inpaint.drop("small_mask.png", np.full((9, 9), 255, np.uint8))
    inpaint.drop("waits.png", texture(2))
    inpaint.drop("away.png", texture(3))
    matte.drop("plain.png", file(product()))
    matte.drop("doubt.png", file(clutter()))
    house.once(3)
    house.check(done=1, quarantined=3, waiting=2, cut_done=2)

    jobs = {job["name"]: str(job["id"]) for job in house.lanes.jobs()}
    (inpaint.inbox / "away.png").unlink()
    matte.drop("doubt_mask.png", file(rough()))
    inpaint.drop_pair("twin", ".jpg")
    next(inpaint.failed.rglob("small_mask.png")).write_bytes(file(blob()))
    assert house.lanes.retouchd("cancel", jobs["waits.png"]).returncode == 0
    assert house.lanes.retouchd("retry", jobs["small.png"]).returncode == 0
    house.once(0)
    house.check(waiting=-2, cancelled=2, quarantined=-1, done=2)
    assert matte.files(matte.review) == []
    (twin,) = [job for job in house.lanes.jobs() if job["name"] == "twin.jpg"]
    assert "reused" in twin["notes"]

    nothing = {"max_size": "1KB"}
    house.lanes.lane("inpaint", retention={"outputs": nothing, "archive": nothing})
    before = len(house.books.disk())
    done = house.lanes.retouchd("prune", "--json")
    pruned = json.loads(done.stdout)["files"]
    assert len(pruned) == before - len(house.books.disk()) >= 8
    house.check()
    house.books.check_listed()
    assert inpaint.files(inpaint.outbox) == []


def refused(commands: Spool | Lanes, words: str, *more: str) -> None:
    """A second start ends at once with a sentence."""
    done = commands.retouchd("run", *more, timeout=120)
    assert done.returncode == 4, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_there_is_one_service(tmp_path: Path, start: Callable[..., Running]) -> None:
    """Whether a second one shares the configuration, the state folder or only an inbox; and as
    soon as the first was killed, all of it is free again."""
    lanes = Lanes(tmp_path / "root")
    lane = lanes.lane("inpaint", model="flat")
    state = tmp_path / "root" / "state"
    first = start(lanes)
    first.wait_for("watching")
    same_state = Lanes(tmp_path / "elsewhere", state=str(state))
    same_state.lane("another", model="flat")
    refused(lanes, f"process {first.process.pid}")
    refused(same_state, f"process {first.process.pid}")
    same_inbox = Lanes(tmp_path / "third")
    same_inbox.lane("mine", model="flat", root=None, **folders(lane.inbox, tmp_path / "mine"))
    refused(same_inbox, f"works with the inbox {lane.inbox} already: the one on")
    lane.drop_pair("photo")
    first.wait_for("done", file="photo.png")
    assert lane.undated(lane.outbox) == ["photo.png"]
    first.kill()
    other = start(same_inbox)
    other.wait_for("watching")
    lane.drop_pair("second")
    other.wait_for("done", file="second.png")
    refused(lanes, "works with the inbox")
    assert other.stop() == 0
    assert lanes.once().returncode == 0


def folders(inbox: Path, other: Path) -> dict[str, str]:
    """A lane of its own with somebody else's inbox."""
    return {
        "inbox": str(inbox),
        **{role: str(other / role) for role in ("outbox", "archive", "failed")},
    }


@pytest.mark.soak
@pytest.mark.parametrize("share", ["state", "inbox"])
def test_of_twenty_that_start_at_once_one_runs(tmp_path: Path, tally, share: str) -> None:
    """With one configuration; and with one inbox, but a state folder for each."""
    root = tmp_path / "root"
    lanes = Lanes(root)
    lane = lanes.lane("inpaint", model="flat")
    rivals = [lanes] * MANY
    if share == "inbox":
        rivals = [rival(tmp_path / f"rival{n}", lane.inbox) for n in range(MANY)]
    for race in range(RACES):
        started = [Popen(one) for one in rivals]
        try:
            assert eventually(lambda: sum(p.lives for p in started) <= 1, 300)  # noqa: B023
            time.sleep(2)
            (winner,) = [p for p in started if p.lives]
            lane.drop_pair(f"race{race}", seed=race)
            done = lambda: not lane.files(lane.inbox)  # noqa: E731
            assert eventually(done, 120), winner.said()
            assert Counter(p.process.poll() for p in started) == {4: MANY - 1, None: 1}
            # Killed, and not asked to end: whatever it holds the kernel has to let go.
            winner.process.send_signal(signal.SIGKILL if race % 2 else signal.SIGTERM)
            assert winner.process.wait(60) == (-9 if race % 2 else 0)
        finally:
            for one in started:
                one.close()
        tally.add("20 starts at once of which one ran", f"twenty with one {share}")
    outputs = [name for one in {id(r): r for r in rivals}.values() for name in published(one)]
    assert sorted(outputs) == sorted(f"race{n}.png" for n in range(RACES))


def rival(folder: Path, inbox: Path) -> Lanes:
    lanes = Lanes(folder)
    lanes.lane("mine", model="flat", root=None, **folders(inbox, folder / "own"))
    return lanes


def published(lanes: Lanes) -> list[str]:
    (lane,) = lanes.lanes.values()
    outbox = Path(lane.get("outbox") or Path(lane["root"]) / "outbox")
    return [path.name for path in outbox.rglob("*.png")]


class Popen:
    """A service whose words go to nobody until they are asked for."""

    def __init__(self, lanes: Lanes) -> None:
        options = ("--set", "scan.settle=200ms", "--set", "hands=1")
        self.process = subprocess.Popen(
            lanes.command("run", more=options), stderr=subprocess.PIPE, env=os.environ
        )

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        self.process.kill()
        return self.process.communicate()[1].decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
