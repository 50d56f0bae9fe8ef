"""Photos for training: decoded once into one file, which every process maps into its memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

# Sources (the first word of a file's name) that are never trained on: between them close-ups,
# people, animals, interiors, cities and landscapes.
HELD_OUT = ("skimage", "budgie", "homematch")


@dataclass(frozen=True)
class Entry:
    """Where a photo lies in the store: bytes from ``start``, [height, width, 3] RGB."""

    name: str
    start: int
    height: int
    width: int


class Photos:
    """Read-only photos; an index gives [H, W, 3] uint8 RGB that is not copied from the map."""

    def __init__(self, store: Path, entries: Sequence[Entry]) -> None:
        self.store = store
        self.entries = tuple(entries)
        self._bytes: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Picture:
        if self._bytes is None:
            self._bytes = np.memmap(self.store, np.uint8, "r")
        entry = self.entries[index]
        size = entry.height * entry.width * 3
        flat = self._bytes[entry.start : entry.start + size]
        return flat.reshape(entry.height, entry.width, 3)

    def __getstate__(self) -> dict[str, object]:
        # A worker process maps the file itself; a map would be pickled as a copy.
        return {**self.__dict__, "_bytes": None}

    def split(self) -> tuple[Photos, Photos]:
        """(for training, held out by source)."""
        out = [e for e in self.entries if e.name.split("-")[0] in HELD_OUT]
        into = [e for e in self.entries if e.name.split("-")[0] not in HELD_OUT]
        return Photos(self.store, into), Photos(self.store, out)


def open_photos(folder: Path, cache: Path) -> Photos:
    """The photos of a folder, by name; decodes them into ``cache`` unless they already are there.

    Raises FileNotFoundError if there are none, ValueError for one that can't be decoded.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        raise FileNotFoundError(f"no photos in {folder}")
    listed = "\n".join(f"{path.name} {path.stat().st_size}" for path in paths)
    stem = f"photos-{hashlib.sha256(listed.encode()).hexdigest()[:12]}"
    store, index = cache / f"{stem}.bin", cache / f"{stem}.json"
    if not index.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _decode(paths, store, index)
    return Photos(store, [Entry(**entry) for entry in json.loads(index.read_text())])


def _decode(paths: Sequence[Path], store: Path, index: Path) -> None:
    entries: list[dict[str, object]] = []
    with store.open("wb") as out:
        for path in paths:
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if picture is None:
                raise ValueError(f"{path} is no picture")
            height, width = picture.shape[:2]
            entry = Entry(path.name, out.tell(), height, width)
            entries.append(entry.__dict__)
            out.write(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).tobytes())
    # The index comes last: where it exists, the store is whole.
    index.write_text(json.dumps(entries))
