"""Lanes into which photos come that want one name, each known by its pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from helpers.kinds import by_opencv
from helpers.pictures import blob, texture
from helpers.spool import Lanes, Spool
from helpers.standing import rows
from helpers.studio import clutter, file, product
from helpers.tally import Tally

PROMISE = "14 files that wanted a name, by folder"
_KEEP = {kind: {"max_age": None} for kind in ("outputs", "archive", "failed")}
"""Clocks that stand wrong by years are the tests of retention's."""
FLAT = "{date:%Y-%m-%d}/{stem}{ext}"
_KNOWN = np.ones((160, 220), bool)
_KNOWN[40:110, 60:140] = False


class Namesakes:
    """A lane of each task, and what was dropped into them, by its bytes.

    root: whose folders take what comes out, of both lanes together. path: the template of outputs.
    """

    def __init__(self, folder: Path, *, root: Path | None = None, path: str = FLAT) -> None:
        self.lanes = Lanes(folder / "root", state=str(folder / "state"))
        lanes: dict[str, Any] = {"output": {"path": path}, "retention": _KEEP}
        if root:
            lanes["outbox"], lanes["archive"] = str(root / "outbox"), str(root / "archive")
            lanes["failed"], lanes["review"] = str(root / "failed"), str(root / "review")
        self.state = folder / "state"
        inner = {key: value for key, value in lanes.items() if key != "review"}
        self.inpaint = self.lanes.lane("inpaint", model="flat", **inner)
        self.matte = self.lanes.lane("cutouts", task="matte", matte={"output": "all"}, **lanes)
        self.root, self._number = root, 0
        self.dropped: Counter[str] = Counter()
        self.repaired: set[str] = set()
        self.cut = self.doubtful = self.bad = 0

    def pair(self, stem: str) -> None:
        """A photo that no other is like, and its mask."""
        self._number += 1
        photo = texture(self._number)
        self.repaired.add(_known(photo))
        mask = blob()
        mask[60, 80] = 200  # Masks have bytes of their own, too.
        mask[60:66, 80:112] = _pattern(self._number)
        self._drop(self.inpaint, f"{stem}.png.mask.png", by_opencv(".png", mask))
        self._drop(self.inpaint, f"{stem}.png", by_opencv(".png", photo))

    def cutout(self, stem: str) -> None:
        self._number += 1
        self.cut += 1
        self._drop(self.matte, f"{stem}.png", file(product(self._number)))

    def doubt(self, stem: str) -> None:
        """A photo whose cut-out goes to review."""
        self._number += 1
        self.doubtful += 1
        self._drop(self.matte, f"{stem}.png", file(clutter(self._number)))

    def nonsense(self, stem: str) -> None:
        self._number += 1
        self.bad += 1
        self._drop(self.inpaint, f"{stem}.png", f"no picture {self._number}".encode())

    def _drop(self, spool: Spool, name: str, data: bytes) -> None:
        # As programs do it: the file appears whole.
        hidden = spool.inbox / f".{self._number}.part"
        hidden.write_bytes(data)
        path = spool.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists()
        hidden.rename(path)
        self.dropped[hashlib.sha256(data).hexdigest()] += 1

    def empty(self) -> bool:
        """Whether all that was dropped has been worked on and filed away."""
        if any(spool.files(spool.inbox) for spool in (self.inpaint, self.matte)):
            return False
        found = Counter(row.state for row in rows(self.state))
        return set(found) <= {"done", "quarantined", "cancelled"}

    def check(self, tally: Tally) -> None:
        """Everything is there once, whole, and under a name of its own."""
        outbox = [self._outputs(spool, "outbox") for spool in (self.inpaint, self.matte)]
        outputs = outbox[0] if self.root else [*outbox[0], *outbox[1]]
        shown = Counter(_known(cv2.imread(str(path))) for path in outputs if _is_repaired(path))
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

    def _check_cutouts(self, outputs: list[Path], review: list[Path]) -> None:
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

    def _outputs(self, spool: Spool, role: str) -> list[Path]:
        top = (self.root or spool.root) / role
        found = (path for path in top.rglob("*") if path.is_file())
        return [path for path in found if not path.name.startswith(".retouchd-")]


def _pattern(number: int) -> np.ndarray:
    """A number in black and white, all of it still mask."""
    bits = [255 if number >> bit & 1 else 254 for bit in range(32)]
    return np.array([bits] * 6, np.uint8)


def _known(photo: np.ndarray) -> str:
    """What tells a photo from all others, and is the same in its repaired one."""
    return hashlib.sha256(np.ascontiguousarray(photo[_KNOWN])).hexdigest()


def _size_and_mode(path: Path) -> tuple[tuple[int, int], str]:
    with Image.open(path) as image:
        return image.size, image.mode


def _is_repaired(path: Path) -> bool:
    return path.suffix == ".png" and _size_and_mode(path) == ((220, 160), "RGB")


def _is_cut_out(path: Path) -> bool:
    return path.suffix == ".png" and _size_and_mode(path)[1] == "RGBA"


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.stem + ending)
