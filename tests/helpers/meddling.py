"""What people do to files that were filed away, and what they put beside them."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

SECRET = b"nothing below the lanes may touch this"
CHANGES: dict[str, Callable[[Path, Path], None]] = {}
"""Ways in which a file becomes another one: ``change(file, outside)``."""


def _change(function: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    CHANGES[function.__name__] = function
    return function


@_change
def edited(path: Path, outside: Path) -> None:
    path.write_bytes(path.read_bytes() + b"edited")


@_change
def repainted(path: Path, outside: Path) -> None:
    """As large as before."""
    path.write_bytes(bytes(path.stat().st_size))


@_change
def touched(path: Path, outside: Path) -> None:
    os.utime(path)


@_change
def dated_back(path: Path, outside: Path) -> None:
    os.utime(path, (1, 1))


@_change
def replaced(path: Path, outside: Path) -> None:
    other = path.with_name("other of a person")
    other.write_bytes(b"another picture")
    other.rename(path)


@_change
def taken_away(path: Path, outside: Path) -> None:
    path.rename(outside / f"taken {len(os.listdir(outside))}")


@_change
def renamed(path: Path, outside: Path) -> None:
    path.rename(path.with_name(f"renamed {path.name}"))


@_change
def moved_and_linked(path: Path, outside: Path) -> None:
    """It lies elsewhere now, and a link leads there."""
    target = outside / f"moved {len(os.listdir(outside))}"
    path.rename(target)
    path.symlink_to(target)


@_change
def a_folder(path: Path, outside: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / path.name).write_bytes(SECRET)


@_change
def a_pipe(path: Path, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@_change
def a_socket(path: Path, outside: Path) -> None:
    path.unlink()
    make_socket(path)


def make_socket(path: Path) -> None:
    """A socket that nobody listens at."""
    here = os.getcwd()
    # Its address must be short.
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


def linked_elsewhere(path: Path, outside: Path) -> None:
    """It stays what it was; another name keeps the content."""
    try:
        os.link(path, outside / f"linked {len(os.listdir(outside))}")
    except OSError:
        os.link(path, path.with_name(f"linked {path.name}"))


def folder_became_a_link(folder: Path, outside: Path) -> None:
    """All that lies in it lies elsewhere now."""
    target = outside / f"folder {len(os.listdir(outside))}"
    if os.stat(folder).st_dev == os.stat(outside).st_dev:
        folder.rename(target)
    else:
        target = folder.with_name(f"was {folder.name}")
        folder.rename(target)
    folder.symlink_to(target)


def plant(folder: Path, outside: Path, chance: random.Random) -> None:
    """Put foreign things into a folder, as old as files can be."""
    number = len(os.listdir(folder))
    made: list[Callable[[Path], object]] = [
        lambda path: path.write_bytes(b"a person put it here"),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to(outside / "secret"),
        lambda path: path.symlink_to(outside),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
    ]
    name = chance.choice(["photo0 (1).png", ".retouchd-mine", "-rf", "zz\nx", "foreign.png"])
    path = folder / f"{number}{name}"
    chance.choice(made)(path)
    os.utime(path, (1, 1), follow_symlinks=False)
