"""Promise 10: half a picture never becomes an output. A file that is cut off, and stays so, ends in
quarantine beside the reason: as a photo or as its mask, to be repaired or to be cut out.

Every kind of every format, cut at some percent of its length; whole files of each kind beside them,
which have to be done.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from helpers.kinds import masks, photos
from helpers.spool import Lanes

PROMISE = "10 cut-off files in quarantine, by role and reason"
ROLES = ("photo", "mask", "cutout", "rough")
"""A photo to repair, its mask, a photo to cut out, and its rough mask."""
QUICK, ALL = (10, 35, 60, 80, 95, 99), range(10, 100)
REASONS = {"incomplete": "is incomplete:", "damaged": "is not an image that can be read:"}
LAX = str(Path(__file__).parent / "lax_reader")


class Plant:
    """A lane of each task with the files of some kinds, cut at some percents, and whole."""

    def __init__(self, folder, kinds, percents):
        self.lanes = Lanes(folder / "root", scan={"incomplete_after": "1s"})
        self.inpaint = self.lanes.lane("inpaint", model="flat")
        self.matte = self.lanes.lane("cutouts", task="matte", matte={"review_below": 0.0})
        self.cut, self.whole = {}, set()
        self.drops = {}
        for number, kind in enumerate(kinds):
            for percent in (*percents, 100):
                for role in ROLES:
                    self._drop(f"k{number:02d}p{percent}{role}", kind, role, percent)

    def _drop(self, stem, kind, role, percent):
        """As one of a pair whose other half is whole."""
        spool = self.inpaint if role in ("photo", "mask") else self.matte
        photo, mask = photos()["png"], masks()["png"]
        if role in ("mask", "rough"):
            mask = masks()[kind]
        else:
            photo = photos()[kind]
        damaged = mask if role in ("mask", "rough") else photo
        content = {one: one.data for one in (photo, mask)}
        if percent < 100:
            content[damaged] = damaged.data[: damaged.whole * percent // 100]
        names = [f"{stem}{photo.suffix}"]
        spool.drop(names[0], content[photo])
        if role != "cutout":
            names.append(f"{stem}_mask{mask.suffix}")
            spool.drop(names[1], content[mask])
        self.drops[names[0]] = names
        if percent < 100:
            self.cut[names[0]] = role
        else:
            self.whole.add(names[0])

    def run(self, environment=None):
        done = self.lanes.retouchd("once", fast=True, timeout=3000, environment=environment)
        assert done.returncode == 3, done.stderr
        return done

    def outputs(self):
        """The stems of all that came out."""
        return {
            Path(name).name.partition(".")[0]
            for spool in (self.inpaint, self.matte)
            for folder in (spool.outbox, spool.review)
            for name in spool.files(folder)
        }

    def check_no_half_output(self):
        assert self.outputs() == {name.partition(".")[0] for name in self.whole}

    def check_set_aside(self, tally):
        """Each pair lies together in quarantine, every byte of it, beside a text that helps."""
        states = {job["name"]: job for job in self.lanes.jobs()}
        for spool in (self.inpaint, self.matte):
            assert spool.files(spool.inbox) == []
            failed, archived = spool.digests(spool.failed), spool.digests(spool.archive)
            for image, names in self.drops.items():
                if names[0] not in spool.dropped:
                    continue
                there = failed if image in self.cut else archived
                assert {n: there.get(n) for n in names} == {n: spool.dropped[n] for n in names}
                assert states[image]["state"] == ("quarantined" if image in self.cut else "done")
        for image, role in self.cut.items():
            tally.add(PROMISE, f"{role}: {self._reason(image, role)}")

    def _reason(self, image, role):
        spool = self.inpaint if role in ("photo", "mask") else self.matte
        (text,) = spool.failed.glob(f"*/{image}.error.txt")
        said = " ".join(text.read_text(encoding="utf-8").split())
        damaged = self.drops[image][1 if role in ("mask", "rough") else 0]
        why, _, remedy = said.partition("What to do:")
        assert damaged in why
        assert remedy
        (reason,) = [kind for kind, words in REASONS.items() if words in why]
        return reason


def play(folder, tally, kinds, percents):
    plant = Plant(folder, kinds, percents)
    done = plant.run()
    assert "Traceback" not in done.stderr
    plant.check_no_half_output()
    plant.check_set_aside(tally)
    assert Counter(plant.cut.values()) == dict.fromkeys(ROLES, len(kinds) * len(percents))


FAMILIES = sorted({name.partition(",")[0] for name in photos()})


def of(family):
    return [name for name in photos() if name.partition(",")[0] == family]


def test_half_a_picture_of_every_format_is_set_aside(tmp_path, tally):
    """One kind of each format."""
    play(tmp_path, tally, FAMILIES, QUICK)


@pytest.mark.soak
@pytest.mark.parametrize("kind", photos())
def test_half_a_picture_of_every_kind_is_set_aside(tmp_path, tally, kind):
    """Cut at every percent from 10 to 99."""
    play(tmp_path, tally, [kind], ALL)


@pytest.mark.soak
@pytest.mark.parametrize("family", ["jpeg", "tiff"])
def test_it_would_be_noticed_if_nobody_looked_whether_files_are_whole(tmp_path, family):
    """Decoders of PNG and WebP refuse half a file by themselves."""
    path = os.pathsep.join((LAX, os.environ["PYTHONPATH"]))
    plant = Plant(tmp_path, of(family), QUICK)
    plant.run({"PYTHONPATH": path})
    half = plant.outputs() - {name.partition(".")[0] for name in plant.whole}
    assert half, "no output was made of half a picture"
    with pytest.raises(AssertionError):
        plant.check_no_half_output()
