"""Listing an inbox of 100,000 files, against a bare walk, and against a walk that stats each."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from retouchd.config import Pairing
from retouchd.listing import list_names
from retouchd.pairing import Candidate, decide
from retouchd.roots import establish, open_root

FILES = 100_000
ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES // 2):
            Path(folder, f"p{number:06}.jpg").touch()
            Path(folder, f"p{number:06}_mask.png").touch()
        ref = establish("bench", "inbox", folder)

        def listing() -> None:
            with open_root(ref) as root:
                list_names(root, (), ())

        with open_root(ref) as root:
            found = [Candidate(f.path, True) for f in list_names(root, (), ())]
        bare = _median(lambda: [entry.name for entry in os.scandir(folder)])
        stats = _median(lambda: [entry.stat() for entry in os.scandir(folder)])
        ours = _median(listing)
        pairs = _median(lambda: decide(found, Pairing()))
    print(f"{FILES} files, medians of {ROUNDS}:")
    print(f"  names only (os.scandir) {bare:6.3f} s")
    print(f"  names and stat          {stats:6.3f} s")
    print(f"  retouchd's listing      {ours:6.3f} s, {ours / bare:.1f} × names only")
    print(f"  pairing them all        {pairs:6.3f} s")


def _median(action: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
