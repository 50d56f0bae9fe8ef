"""Files that take all the space of a small disk, until it is given back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def take_all_bytes(folder: Path) -> Path:
    """Gives the file that took them."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def take_all_inodes(folder: Path) -> None:
    with suppress(OSError):
        for number in range(1_000_000):
            (folder / f"filler{number}").touch()


def give_back(folder: Path) -> None:
    for filler in folder.glob("filler*"):
        filler.unlink()
