"""How long commands take to answer, against a Python that does nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 7


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        nothing = _median([sys.executable, "-c", "pass"])
        print(f"medians of {ROUNDS}:\n  python -c pass      {nothing:.3f} s")
        for words in (["status"], ["jobs"], ["config", "check"]):
            took = _median([sys.executable, "-m", "retouchd", *words, "--root", root])
            print(f"  retouchd {' '.join(words):12} {took:.3f} s, {took / nothing:.1f} ×")


def _median(command: list[str]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
