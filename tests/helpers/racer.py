"""A service at work while somebody swaps what was dropped against what leads out of its lane."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from helpers.pictures import blob, texture
from helpers.running import Running, eventually
from helpers.secret import Secret, plain_png
from helpers.shim import SWAP, Fault, Shim
from helpers.spool import Lanes
from helpers.swaps import Swaps, exchange

SHELVES = ("outbox", "archive", "failed")
KINDS = ("photo", "mask", "folder", "nested", "hard link", "pipe", "shelves")
"""What is swapped: a photo or its mask against a link to one outside, their folder or the one above
against a link to such a folder, a photo against a hard link or a pipe, and the days' folders of
outbox, archive and failed."""
_INSIDE = ("photo.png", "photo_mask.png")
_OUTSIDE = tuple(f"{folder}{name}" for folder in ("", "album/", "nested/b/") for name in _INSIDE)
_CALLS = ("open", "stat", "rename", "link", "unlink", "mkdir", "fsync_folder", "list")
_MOST_CALLS = 64
"""A folder is listed again and again while the drop in it waits."""
_Drop = tuple[Path, list[tuple[Path, Path]]]
_PATIENCE, _AT_ONCE = 5.0, 6
"""Seconds for which drops are swapped, if the service does not end them before; how many."""


class Racer:
    """swaps: how many there were. ends: of the drops, by what became of them."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        hard: bool = False,
    ) -> None:
        self.lanes = Lanes(folder / "root", state=str(folder / "state"))
        self.spool = self.lanes.lane("inpaint", model="flat")
        self.secret = Secret(folder / "outside", (*_OUTSIDE, "shelf/photo.png"), hard=hard)
        self.running = Running(self.lanes, *options, environment=environment)
        self.running.wait_for("watching")
        self.swaps, self.ends = 0, Counter[str]()
        self._dropped, self._drops = Counter[str](), 0

    def race(self, kinds: Sequence[str], seconds: float) -> None:
        """Some drops after the others, each swapped in all these ways."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            drops = [self._drop(kinds) for _ in range(_AT_ONCE)]
            folders = [folder for folder, _ in drops]
            swaps = Swaps(list(dict.fromkeys(pair for _, pairs in drops for pair in pairs)))
            self._all(folders, self._end, _PATIENCE)
            self.swaps += swaps.stop()
            self._note(folders)

    def at_each_call(self, kind: str, shim: Shim) -> int:
        """One drop for each call that has to do with it, which is swapped right before that call,
        and back before the next one; the first 64 of them. Gives how many there were."""
        for number in range(1, _MOST_CALLS + 1):
            folder, pairs = self._drop((kind,), shown=False)
            name, other = map(str, pairs[0])
            with shim.fault(Fault(_CALLS, SWAP, name, number, number + 1, other)):
                _hidden(folder).rename(folder)
                assert eventually(partial(self._struck, folder, shim), 120)
                hits = shim.felt().hits
            if hits % 2:
                exchange(os.fsencode(name), os.fsencode(other))
            self.swaps += hits
            self._note([folder])
            if not hits:
                return number - 1
        return _MOST_CALLS

    def _struck(self, folder: Path, shim: Shim) -> bool:
        return shim.felt().hits > 1 or self._over(folder)

    def _note(self, folders: list[Path]) -> None:
        assert self._all(folders, self._over, 120)
        # Originals are moved a moment before it is said.
        self._all(folders, self._end, 2)
        self.ends.update(self._end(folder) or "taken away" for folder in folders)
        assert self.running.process.poll() is None
        self.secret.check_unseen()

    def _all(self, folders: list[Path], claim: Callable[[Path], object], timeout: float) -> bool:
        return eventually(lambda: all(claim(folder) for folder in folders), timeout)

    def _over(self, folder: Path) -> bool:
        """Whether nothing more will become of it: what is left has another name now."""
        return bool(self._end(folder)) or not any(map(_plain, _photos(folder)))

    def _drop(self, kinds: Sequence[str], *, shown: bool = True) -> _Drop:
        """A folder with a pair in it, as large and as old as those outside, and what leads out."""
        self._drops += 1
        top = self.spool.inbox / f"{self._drops:03}"
        inside = _hidden(top) / ("b" if "nested" in kinds else ".")
        inside.mkdir(parents=True)
        mask = blob()[..., None].repeat(3, 2)
        mask[70, 80:90] = [[255 if self._drops >> bit & 1 else 200] for bit in range(10)]
        for name, pixels in zip(_INSIDE, (texture(self._drops), mask), strict=True):
            path, model = inside / name, (self.secret.folder / name).stat()
            path.write_bytes(plain_png(pixels))
            os.utime(path, ns=(model.st_mtime_ns, model.st_mtime_ns))
            assert path.stat().st_size == model.st_size
            self._dropped[_digest(path)] += 1
        pairs = [pair for kind in kinds for pair in self._pairs(kind, top)]
        if shown:
            _hidden(top).rename(top)
        return top, pairs

    def _pairs(self, kind: str, folder: Path) -> list[tuple[Path, Path]]:
        """What is swapped against what, once the folder has its name."""
        outside, hidden = self.secret.folder, _hidden(folder)
        if kind == "shelves":
            return [self._shelf(role) for role in SHELVES]
        if kind in ("folder", "nested"):
            link = folder.with_name(f".link {folder.name}")
            link.symlink_to(outside / {"folder": "album"}.get(kind, kind))
            return [(folder, link)]
        name, other = "photo_mask.png" if kind == "mask" else "photo.png", f".{kind}.png"
        if kind == "hard link":
            os.link(outside / name, hidden / other)
        elif kind == "pipe":
            os.mkfifo(hidden / other)
        else:
            (hidden / other).symlink_to(outside / name)
        return [(folder / name, folder / other)]

    def _shelf(self, role: str) -> tuple[Path, Path]:
        day = self.spool.root / role / f"{datetime.now().astimezone():%Y-%m-%d}"
        other = day.with_name(f".{day.name}")
        day.mkdir(exist_ok=True)
        if not other.is_symlink():
            other.symlink_to(self.secret.folder / "shelf")
        return day, other

    def _end(self, folder: Path) -> str | None:
        """How the log says that a drop ended."""
        for line in [*self.running.lines]:
            mine = line.get("file", "").startswith(f"{folder.name}/")
            if mine and line["event"] in ("done", "quarantined"):
                return str(line["event"])
        return None

    def check(self) -> None:
        """It lived, nobody looked outside, and every dropped byte is still there, once."""
        assert self.running.stop() == 0
        self.secret.check(self.lanes.root)
        kept = Counter(_digest(path) for path in self.spool.root.rglob("*") if _plain(path))
        assert {digest: kept[digest] for digest in self._dropped} == self._dropped


def _photos(folder: Path) -> list[Path]:
    return [folder / name for name in ("photo.png", "b/photo.png")]


def _hidden(folder: Path) -> Path:
    """The name that a folder has until it is dropped."""
    return folder.with_name(f".{folder.name}.part")


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
