"""Somebody who opens every output the moment that it appears. Runs as a process of its own.

A picture has to decode to its last row, a text has to end with its last line, and what belongs to a
picture has to be there before it.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

_PAUSE = 0.03
_YOUNG = 2.0
"""Seconds for which a file is read again and again; afterwards only when it is another version."""
_FOLDERS = ("outbox", "review")
_COMPANIONS = {
    ("cutouts", "outbox"): ("_alpha.png", "_composite.png"),
    ("cutouts", "review"): ("_alpha.png", "_composite.png", ".review.txt"),
}


class Reader:
    """The process; a context manager that at its end asserts that nothing was amiss."""

    def __init__(self, root: Path, notes: Path) -> None:
        notes.mkdir(parents=True, exist_ok=True)
        self._notes = notes
        command = [sys.executable, "-P", str(Path(__file__)), str(root), str(notes)]
        self._process = subprocess.Popen(["nice", "-n", "10", *command])

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)

    @property
    def reads(self) -> int:
        """How many readings were whole."""
        path = self._notes / "reads"
        return int(path.read_text() or 0) if path.exists() else 0

    @property
    def failures(self) -> list[str]:
        path = self._notes / "failures"
        return path.read_text().splitlines() if path.exists() else []

    def check(self) -> None:
        assert self.failures == [], "somebody saw half an output"


def _problem(path: str) -> str | None:
    """What is wrong with a visible file; raises OSError where it is gone or can't be read."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        if path.endswith(".txt"):
            return None if data.decode().endswith("\n") else "the text ends in the middle"
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except Exception as error:
        return f"{len(data)} bytes: {type(error).__name__}: {error}"
    return None


def _missing(folder: tuple[str, str], path: str) -> list[str]:
    """What should have been visible before this picture."""
    endings = _COMPANIONS.get(folder, ())
    stem, ending = os.path.splitext(path)
    if ending != ".png" or path.endswith(endings):
        return []
    return [stem + one for one in endings if not os.path.exists(stem + one)]


def _look(root: str, seen: dict[str, tuple[int, int, int]]) -> tuple[int, list[str]]:
    reads, failures = 0, []
    for lane in os.listdir(root):
        for folder in _FOLDERS:
            for top, _, names in os.walk(os.path.join(root, lane, folder)):
                for name in names:
                    path = os.path.join(top, name)
                    if name.startswith("."):
                        continue
                    try:
                        stat = os.stat(path)
                        version = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
                        old = time.time() - stat.st_mtime > _YOUNG
                        if seen.get(path) == version and old:
                            continue
                        problem, missing = _problem(path), _missing((lane, folder), path)
                        still_there = os.path.exists(path)
                    except OSError:
                        continue
                    seen[path] = version
                    reads += problem is None
                    failures += [f"{path}: {problem}"] if problem else []
                    if missing and still_there:
                        failures.append(f"{path} is visible before {missing}")
    return reads, failures


def main() -> None:
    """Arguments: the folder above the lanes' folders, and where to note what was seen."""
    root, notes = sys.argv[1:3]
    total, seen = 0, dict[str, tuple[int, int, int]]()
    parent = os.getppid()
    while os.getppid() == parent:
        try:
            reads, failures = _look(root, seen)
        except OSError:
            reads, failures = 0, []
        if failures:
            with open(os.path.join(notes, "failures"), "a", encoding="utf-8") as file:
                file.write("".join(json.dumps(one) + "\n" for one in failures))
        if reads:
            total += reads
            with open(os.path.join(notes, "reads.new"), "w", encoding="ascii") as file:
                file.write(str(total))
            os.replace(os.path.join(notes, "reads.new"), os.path.join(notes, "reads"))
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
