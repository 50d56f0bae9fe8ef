"""What lies outside the lanes, where a readable picture is that nobody may look at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from helpers.onlookers import Onlookers
from helpers.snapshot import snapshot

COLOURS = np.array([[0, 255, 0], [255, 0, 255]], np.int16)
"""Of which no other picture of these tests has many pixels."""


def picture(height: int = 160, width: int = 220) -> np.ndarray:
    """Green and magenta patches [height, width, 3], BGR."""
    rows, columns = np.mgrid[:height, :width] // 16
    return COLOURS[(rows + columns) % 2].astype(np.uint8)


def plain_png(pixels: np.ndarray) -> bytes:
    """Not compressed, so that pictures of one size are files of one size."""
    encoded, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert encoded
    return data.tobytes()


class Secret:
    """A folder outside, with onlookers. hard: links to its files may be opened, but not read."""

    def __init__(self, folder: Path, names: Iterable[str], *, hard: bool = False) -> None:
        self.folder = folder
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(plain_png(picture()))
        self._bytes = plain_png(picture())[200:400]
        self._before = snapshot(folder)
        self._inodes = {path.stat().st_ino for path in folder.rglob("*")}
        # Files by themselves, too: a folder hears nothing of what goes through another name.
        self._onlookers = Onlookers([folder, *folder.rglob("*")], opening=not hard)

    def check_unseen(self) -> None:
        """Nobody looked so far."""
        seen = self._onlookers.seen()
        assert not seen, f"somebody looked outside: {seen[:20]}"

    def close(self) -> None:
        self._onlookers.close()

    def check(self, *tops: Path) -> None:
        """Nobody looked, nothing has changed, and nothing of it is anywhere below ``tops``."""
        self.close()
        self.check_unseen()
        after = snapshot(self.folder)
        # Links that a test made to its files count, there.
        assert {p: (*e[:2], *e[3:]) for p, e in after.items()} == {
            p: (*e[:2], *e[3:]) for p, e in self._before.items()
        }
        for top in tops:
            for path in top.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    self._check_file(path)

    def _check_file(self, path: Path) -> None:
        found = path.stat()
        if found.st_ino in self._inodes or found.st_size > 1 << 27:
            return
        data = path.read_bytes()
        assert self._bytes not in data, f"{path} has its bytes"
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if pixels is not None:
            away = np.abs(pixels[..., None, :].astype(np.int16) - COLOURS).max(axis=-1).min(axis=-1)
            assert (away < 40).mean() < 0.01, f"{path} shows it"
