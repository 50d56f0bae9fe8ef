"""The drops of a fault campaign: every kind of job, and what must become of each."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from helpers.commands import FAST
from helpers.pictures import blob, texture
from helpers.spool import Lanes, Spool
from helpers.standing import rows

PATIENT = (*FAST, "--set", "retry.crashes=10", "--set", "retry.longest=2s")
"""Options under which a hand that is killed on purpose is nobody's fault."""
Expected = dict[str, dict[str, str]]


def subject(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo [120, 150, 3] of a disc on a plain backdrop, BGR, and a rough mask of it."""
    colour = np.random.default_rng(seed).integers(0, 200, 3).tolist()
    photo = np.full((120, 150, 3), 235, np.uint8)
    cv2.circle(photo, (75, 60), 34, colour, -1, cv2.LINE_AA)
    mask = np.zeros((120, 150), np.uint8)
    cv2.circle(mask, (75, 60), 33, 255, -1)
    return photo, mask


@dataclass
class Campaign:
    """A lane of each task on one root. model: of the inpainting lane.

    After ``drop`` there are: three pairs, a photo whose mask comes with ``later``, a file that is
    no picture, a photo that is taken away by ``later``; a cut-out in three files (the picture, and
    alpha and composite as its companions), and one that goes to review with its reason.
    """

    root: Path
    model: str = "flat"
    state: Path | None = None

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.root, **({"state": str(self.state)} if self.state else {}))
        small = {"limits": {"max_pixels": "1MP"}}
        self.inpaint = self.lanes.lane("inpaint", model=self.model, **small)
        matte = {"output": "all", "bg_color": "white"}
        self.matte = self.lanes.lane("cutouts", task="matte", matte=matte, **small)
        self.state_folder = self.state or self.root / "state"

    @property
    def spools(self) -> dict[str, Spool]:
        return {"inpaint": self.inpaint, "cutouts": self.matte}

    def drop(self, tag: str = "") -> None:
        """One of each. tag: tells the names of several rounds apart; the bytes are the same."""
        for number, suffix in enumerate((".png", ".jpg", ".tif")):
            self.inpaint.drop_pair(f"pair{tag}{number}", suffix, seed=number)
        self.inpaint.drop(f"late{tag}.png", texture(7))
        self.inpaint.drop(f"gone{tag}.png", texture(8))
        self.inpaint.drop(f"bad{tag}.png", b"this is no picture")
        self.drop_cutouts(tag)

    def drop_cutouts(self, tag: str = "") -> None:
        photo, mask = subject(3)
        self.matte.drop(f"cut{tag}.png", photo)
        self.matte.drop(f"cut{tag}_mask.png", mask)
        self.matte.drop(f"doubt{tag}.png", texture(9, 100, 130))

    def later(self, tag: str = "") -> None:
        """What people do meanwhile."""
        self.inpaint.drop(f"late{tag}_mask.png", blob())
        if (self.inpaint.inbox / f"gone{tag}.png").exists():
            (self.inpaint.inbox / f"gone{tag}.png").unlink()
        self.inpaint.dropped.pop(f"gone{tag}.png", None)

    def finish(self) -> None:
        """A clean run to the end."""
        done = self.lanes.retouchd("once", *PATIENT, timeout=1800)
        assert done.returncode in (0, 3), done.stderr

    def results(self) -> Expected:
        """Content hashes by lane and folder, and path without its date."""
        return {
            f"{lane}/{folder}": digests(spool, spool.root / folder)
            for lane, spool in self.spools.items()
            for folder in ("outbox", "review")
        }

    def jobs(self) -> list[dict[str, Any]]:
        return self.lanes.jobs()

    def check_exactly_one(self, expected: Expected) -> None:
        """Every pair: one output as undisturbed, one row, every original filed away once."""
        assert differences(self.results(), expected) == []
        for lane, spool in self.spools.items():
            assert spool.files(spool.inbox) == []
            failed = {k: v for k, v in spool.dropped.items() if k.startswith("bad")}
            archived = {k: v for k, v in spool.dropped.items() if k not in failed}
            assert spool.digests(spool.archive) == archived
            _check_failed(spool, failed)
            self._check_rows(lane, archived, failed)
        left = [str(path) for path in self.root.rglob(".retouchd-*.tmp")]
        assert left == [], "temporary files were left behind"
        with sqlite3.connect(self.state_folder / "ledger.sqlite3") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()

    def _check_rows(self, lane: str, archived: dict[str, str], failed: dict[str, str]) -> None:
        found = rows(self.state_folder)
        mine = [row for row in found if row.lane == lane and row.state != "cancelled"]
        wanted = Counter((name, "done") for name in archived if "_mask" not in name)
        wanted.update((name, "quarantined") for name in failed)
        assert Counter((row.name, row.state) for row in mine) == wanted


def differences(found: Expected, expected: Expected) -> list[str]:
    """The outputs that are missing, too many or other than expected."""
    return [
        f"{folder}/{name}"
        for folder, wanted in expected.items()
        for name in sorted({*wanted, *found[folder]})
        if found[folder].get(name) != wanted.get(name)
    ]


def digests(spool: Spool, top: Path) -> dict[str, str]:
    """Content hashes of a lane's outputs by their paths without the date."""
    return {
        "/".join(Path(name).parts[1:]): hashlib.sha256(_content(top / name, spool)).hexdigest()
        for name in spool.files(top)
    }


def _content(path: Path, spool: Spool) -> bytes:
    """Texts name their picture and the folder that they lie in, which are others in each test, and
    are broken into lines of one width."""
    data = path.read_bytes()
    if path.suffix != ".txt":
        return data
    stem = path.name.partition(".")[0].encode()
    return b"".join(data.split()).replace(bytes(spool.root), b"").replace(stem, b"")


def _check_failed(spool: Spool, failed: dict[str, str]) -> None:
    found = spool.digests(spool.failed)
    texts = {name for name in found if name.endswith(".error.txt")}
    assert texts == {f"{name}.error.txt" for name in failed}
    assert {name: found[name] for name in set(found) - texts} == failed


def undisturbed_campaign(folder: Path, fill: Callable[[Campaign], None], model: str) -> Expected:
    """What a run without faults makes of it."""
    other = Campaign(folder / "root", model)
    fill(other)
    other.finish()
    found = other.results()
    assert found
    other.check_exactly_one(found)
    return found


def tagged(expected: Expected, tags: list[str]) -> Expected:
    """What is expected of several rounds, from that of one without a tag."""
    return {
        folder: {_tagged(name, tag): digest for name, digest in files.items() for tag in tags}
        for folder, files in expected.items()
    }


def _tagged(name: str, tag: str) -> str:
    for stem in ("pair", "late", "cut", "doubt"):
        if name.startswith(stem):
            return f"{stem}{tag}{name.removeprefix(stem)}"
    raise AssertionError(name)
