"""Pictures for training: decoded once into one file, which every process maps into its memory."""

from __future__ import annotations

import hashlib
import json
import math
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
    """Where a picture lies in the store: bytes from ``start``, [height, width, channels] RGB(A)."""

    name: str
    start: int
    height: int
    width: int
    channels: int = 3


class Photos:
    """Read-only pictures; an index gives [H, W, 3 or 4] uint8, RGB(A), not copied from the map."""

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
        shape = entry.height, entry.width, entry.channels
        return self._bytes[entry.start : entry.start + math.prod(shape)].reshape(shape)

    def __getstate__(self) -> dict[str, object]:
        # A worker process maps the file itself; a map would be pickled as a copy.
        return {**self.__dict__, "_bytes": None}

    def split(self) -> tuple[Photos, Photos]:
        """(for training, held out by source)."""
        out = [e for e in self.entries if e.name.split("-")[0] in HELD_OUT]
        into = [e for e in self.entries if e.name.split("-")[0] not in HELD_OUT]
        return Photos(self.store, into), Photos(self.store, out)


def open_photos(folder: Path, cache: Path, longest: int = 0, alpha: bool = False) -> Photos:
    """The photos of a folder, by name; decodes them into ``cache`` unless they already are there.

    longest: photos with a longer side, in pixels, are shrunk to it; 0: none. alpha: RGBA, straight
    alpha, is wanted. Raises FileNotFoundError if there are none, ValueError for one that can't be
    decoded or has no alpha where it is wanted.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not paths:
        raise FileNotFoundError(f"no photos in {folder}")
    listed = "\n".join(f"{path.name} {path.stat().st_size}" for path in paths)
    if longest or alpha:
        listed += f"\n{longest} {alpha}"
    stem = f"photos-{hashlib.sha256(listed.encode()).hexdigest()[:12]}"
    store, index = cache / f"{stem}.bin", cache / f"{stem}.json"
    if not index.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _decode(paths, store, index, longest, alpha)
    return Photos(store, [Entry(**entry) for entry in json.loads(index.read_text())])


def _decode(paths: Sequence[Path], store: Path, index: Path, longest: int, alpha: bool) -> None:
    entries: list[dict[str, object]] = []
    with store.open("wb") as out:
        for path in paths:
            picture = _shrunk(_decoded(path, alpha), longest)
            entries.append(vars(Entry(path.name, out.tell(), *picture.shape)))
            out.write(picture.tobytes())
    # The index comes last: where it exists, the store is whole.
    index.write_text(json.dumps(entries))


def _decoded(path: Path, alpha: bool) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is no picture")
    if not alpha:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 4:
        raise ValueError(f"{path} is no cut-out: RGBA of 8 bits is wanted")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8)


def _shrunk(picture: Picture, longest: int) -> Picture:
    scale = longest / max(picture.shape[:2])
    if longest == 0 or scale >= 1:
        return picture
    if picture.shape[2] == 3:
        return np.asarray(
            cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    # Colours weigh as much as they cover, so that nothing from beside the subject bleeds in.
    cover = picture[..., 3:].astype(np.float32)
    both = np.concatenate([picture[..., :3] * (cover / 255), cover], 2)
    small = cv2.resize(both, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small[..., :3] = small[..., :3] / np.maximum(small[..., 3:] / 255, 1e-3)
    return np.clip(np.round(small), 0, 255).astype(np.uint8)
