"""Promise 16: the drop folder grants no reach. Whatever people put there, links, pipes, devices,
names of any bytes, and however fast they swap it while the service looks: nothing outside the lane
is read or written.

Outside lie pictures that anybody may read, as `helpers.secret` watches them: the kernel tells who
opens one, whatever the path, and none of its bytes or pixels may appear below the lane.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from helpers.meddling import make_socket
from helpers.pictures import blob, texture
from helpers.racer import KINDS, Racer
from helpers.running import Running, eventually
from helpers.secret import Secret
from helpers.spool import Lanes

SWAPS = "16 swaps while the service worked"
ENDS = "16 drops that were swapped, by what became of them"
LAX = str(Path(__file__).parent / "lax_open")
SECONDS, QUICK_SECONDS = 60.0, 2.0
LISTED = ("--set", "scan.watch=scan", "--set", "scan.local=300ms")
TOLD = ("--set", "scan.watch=events", "--set", "scan.local=2s")

LONG = b"x" * 240
ODD = [
    *(b"-rf.png", b"--help.png", b"new\nline.png", b"tab\there.png", b"\xff\xfe.png", b"*.png"),
    *(b"$(touch pwned).png", b"`id`.png", b"%s%n.png", b"{job}.png", b"{date:%Y}.png", b"~.png"),
    *(b"..\\..\\up.png", b"C:\\x.png", b"a..png", b"~root.png", b" lead.png", b"con.png"),
    *(b"\xe2\x80\xaegnp.png", LONG + b".png", b"..\\x/in.png", b"-o/in.png"),
    *(b"\xff/in.png", b"{stem}/in.png", b".. /in.png", b"new\nline/in.png", b"photo.png/in.png"),
]
"""Names and folders that programs have stumbled over."""


class Race:
    """Notes what a racer did; ``with Race(...) as racer``."""

    def __init__(self, folder, shim, tally, what, *options, **environment):
        self._shim, self._tally, self._what = shim, tally, what
        self._how = "told" if options == TOLD else "listed"
        self.racer = Racer(
            folder,
            *options,
            environment={**shim.environment, **environment},
            hard="hard link" in what,
        )

    def __enter__(self):
        try:
            self.racer.running.wait_for("watching")
        except AssertionError:
            self.racer.running.close()
            raise
        return self.racer

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.racer.check()
        finally:
            self.racer.running.close()
            self.racer.secret.close()
        counts = self._tally.counts
        counts[SWAPS][f"{', '.join(self._what)}; {self._how}"] += self.racer.swaps
        counts[ENDS].update({f"{end}; {self._how}": n for end, n in self.racer.ends.items()})


def test_who_swaps_files_and_folders_against_links_reaches_nothing(tmp_path, shim, tally):
    kinds = ("photo", "mask", "folder")
    with Race(tmp_path, shim, tally, kinds, *LISTED) as racer:
        racer.race(kinds, QUICK_SECONDS)


@pytest.mark.soak
@pytest.mark.parametrize("options", [LISTED, TOLD], ids=["listed", "told"])
@pytest.mark.parametrize("kind", KINDS)
def test_who_swaps_for_a_minute_reaches_nothing(tmp_path, shim, tally, kind, options):
    with Race(tmp_path, shim, tally, (kind,), *options) as racer:
        racer.race((kind,), SECONDS)


@pytest.mark.soak
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "shelves"])
def test_a_swap_right_before_any_call_reaches_nothing(tmp_path, shim, tally, kind):
    with Race(tmp_path, shim, tally, (kind,), *LISTED) as racer:
        assert racer.at_each_call(kind, shim) > 5


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["photo", "mask", "folder", "nested"])
def test_it_would_be_noticed_if_a_link_were_followed(tmp_path, shim, tally, kind):
    lax = {"PYTHONPATH": os.pathsep.join((LAX, os.environ["PYTHONPATH"]))}
    with (
        pytest.raises(AssertionError, match="somebody looked outside"),
        Race(tmp_path, shim, tally, (kind,), *LISTED, **lax) as racer,
    ):
        racer.at_each_call(kind, shim)


class Trap:
    """A lane full of what leads out of it, and of names that programs stumble over."""

    def __init__(self, folder, **lane):
        self.lanes = Lanes(folder / "root", state=str(folder / "state"))
        self.spool = self.lanes.lane("inpaint", model="flat", **lane)
        self.outside = folder / "outside"
        names = ("photo.png", "photo_mask.png", "album/photo.png", "album/photo_mask.png")
        self.secret = Secret(self.outside, names, hard=True)

    def lay(self):
        """Everything at once."""
        inbox, outside = self.spool.inbox, self.outside
        for name in ODD:
            path = Path(os.fsdecode(os.path.join(os.fsencode(inbox), name)))
            path.parent.mkdir(exist_ok=True)
            shown = os.fsdecode(name)
            self.spool.drop(shown, texture(len(name)))
            self.spool.drop(f"{shown}.mask.png", blob())
        (inbox / "link.png").symlink_to(outside / "photo.png")
        (inbox / "link_mask.png").symlink_to(outside / "photo_mask.png")
        (inbox / "up.png").symlink_to("../../../outside/photo.png")
        (inbox / "loop.png").symlink_to("loop.png")
        (inbox / "album").symlink_to(outside / "album")
        (inbox / "everything").symlink_to("/")
        os.link(outside / "photo.png", inbox / "hard.png")
        os.link(outside / "photo_mask.png", inbox / "hard_mask.png")
        os.mkfifo(inbox / "pipe.png")
        make_socket(inbox / "socket.png")
        if os.geteuid() == 0:
            os.mknod(inbox / "zero.png", 0o600 | 0o020000, os.makedev(1, 5))
        with (inbox / "huge.png").open("wb") as file:
            file.truncate(1 << 40)
        self.spool.drop("huge_mask.png", blob())
        # A photo of the lane whose mask leads out, and the other way round.
        self.spool.drop("half.png", texture(1))
        (inbox / "half_mask.png").symlink_to(outside / "photo_mask.png")
        (inbox / "masks").symlink_to(outside)
        day = f"{datetime.now().astimezone():%Y-%m-%d}"
        for role in ("outbox", "archive", "failed"):
            folder = Path(self.spool.root, role, day)
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("in.png", "album"):
                (folder / name).symlink_to(outside / "album")

    def check(self, done):
        """What is a photo is done, whatever it is called; what is none is set aside, or lies."""
        assert done.returncode == 3, done.stderr
        jobs = {job["name"]: job for job in self.lanes.jobs()}
        finished = [job for job in jobs.values() if job["state"] == "done"]
        # What begins with a dot is nobody's photo.
        assert len(finished) == sum(not name.startswith(b".") for name in ODD)
        self.secret.check(self.lanes.root)
        assert not list(self.lanes.root.parent.rglob("pwned"))


@pytest.mark.parametrize("apart", [pytest.param(False, marks=pytest.mark.soak), True])
def test_what_leads_out_of_the_lane_leads_nowhere(tmp_path, mount, tally, apart):
    """Also where archive and quarantine lie on another disk, so that originals are copied."""
    folders = {}
    if apart:
        away = mount(tmp_path / "away")
        folders = {role: str(away / role) for role in ("archive", "failed")}
    trap = Trap(tmp_path, **folders)
    trap.lay()
    there = sorted(os.listdir(tmp_path))
    trap.check(trap.lanes.retouchd("once", fast=True, timeout=300))
    assert sorted({*os.listdir(tmp_path)} - {"state"}) == sorted({*there} - {"state"})
    tally.counts["16 things that lead out, and odd names"]["laid"] += 14 + len(ODD)


def test_the_watch_on_an_inbox_is_not_led_out_of_it(tmp_path, tally):
    """A folder that was made, and is a link already when its event is read."""
    lanes = Lanes(tmp_path / "root", state=str(tmp_path / "state"))
    spool = lanes.lane("inpaint", model="flat")
    secret = Secret(tmp_path / "outside", ("album/photo.png", "album/deeper/photo.png"))
    running = Running(lanes, *TOLD)
    try:
        running.wait_for("watching")
        for number in range(200):
            folder = spool.inbox / f"folder{number}"
            folder.mkdir()
            folder.rmdir()
            folder.symlink_to(secret.folder / "album")
        spool.drop_pair("photo")
        running.wait_for("done", file="photo.png")
        assert running.stop() == 0
        secret.check(lanes.root)
    finally:
        running.close()
        secret.close()
    tally.counts["16 folders that became links before the watch came to them"]["told"] += 200


PLANTED = [("outbox", "link"), ("outbox", "file"), ("archive", "link"), ("failed", "file")]


class Planted:
    """A lane in which something lies where the folder of a day has to be."""

    def __init__(self, lanes, role, kind, secret):
        self.name, self.role, self.kind = f"{role}-{kind}", role, kind
        self.spool = lanes.lane(self.name, model="flat")
        self.day = self.spool.root / role / f"{datetime.now().astimezone():%Y-%m-%d}"
        self.shelf = secret.folder / "shelf"

    def lay(self):
        if self.kind == "link":
            self.day.symlink_to(self.shelf)
        else:
            self.day.touch()

    def drop(self):
        if self.role == "failed":
            self.spool.drop("notes.png", b"this is no picture, but long enough to be read")
        else:
            self.spool.drop_pair("photo")

    def check_told(self, running, lane):
        """Once, in the log and in the status: which path, why, and what to do."""
        for text in (lane["paused"], running.wait_for("lane paused", lane=self.name)["reason"]):
            assert f"A folder is needed at {self.day}, but there is" in text
            assert ("links are never followed" in text) == (self.kind == "link")
        assert "Move it away or delete it" in lane["remedy"]

    def over(self):
        there = self.spool.undated(self.spool.root / self.role)
        if self.role == "failed":
            return there == ["notes.png", "notes.png.error.txt"]
        return self.spool.undated(self.spool.archive) == ["photo.png", "photo_mask.png"]


def told(lanes):
    """What the status says of each lane, by its name."""
    return {lane["name"]: lane for lane in lanes.status()["lanes"]}


@pytest.mark.soak
def test_what_is_in_the_place_of_a_days_folder_pauses_its_lane_until_it_is_gone(tmp_path, tally):
    """Be it before anything is dropped. No attempt is lost, others go on, and so does the lane as
    soon as it can: with these times, who is tried again now and then would wait for ten minutes."""
    lanes = Lanes(tmp_path / "root", state=str(tmp_path / "state"))
    secret = Secret(tmp_path / "outside", ("shelf/photo.png",))
    planted = [Planted(lanes, role, kind, secret) for role, kind in PLANTED]
    good = lanes.lane("good", model="flat")
    running = Running(lanes, "--set", "retry.first=20m")
    try:
        running.wait_for("watching", len(planted) + 1)
        for number, one in enumerate(planted):
            one.lay()
            if number:
                one.drop()
        good.drop_pair("photo")
        for one in planted:
            running.wait_for("lane paused", lane=one.name)
        planted[0].drop()
        running.wait_for("done", lane="good")
        # The service tells its state once a second.
        names = {one.name for one in planted}
        assert eventually(lambda: names == {n for n, lane in told(lanes).items() if lane["paused"]})
        for one in planted:
            one.check_told(running, told(lanes)[one.name])
        for one in planted:
            one.day.unlink()
        assert eventually(lambda: all(one.over() for one in planted), 90)
        assert running.stop() == 0
        assert Counter(line["event"] for line in running.lines)["lane paused"] == len(planted)
        found = {(job["lane"], job["state"], job["attempts"], job["error"]) for job in lanes.jobs()}
        done = {("good", "done", 1, None), *((p.name, "done", 1, None) for p in planted[:3])}
        assert found >= done
        assert [job for job, *_ in found - done] == ["failed-file"]
        secret.check(lanes.root)
    finally:
        running.close()
        secret.close()
    tally.counts["16 what lay where a folder of a day had to be"].update(p.name for p in planted)
