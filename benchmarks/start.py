"""How long commands take to answer, and a service to get a LaMa ready.

Commands against a Python that does nothing. The model has big-lama's shape and random weights, and
is loaded from .safetensors in a process of its own, once the file is in the page cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
STARTS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        _commands(root)
        _model(Path(root))


def _commands(root: str) -> None:
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


_CHILD = """
import sys, time
from contextlib import contextmanager
from pathlib import Path

@contextmanager
def step(name):
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    status = Path("/proc/self/status").read_text().splitlines()
    peak, now = (next(int(l.split()[1]) >> 10 for l in status if l.startswith(f"Vm{key}:"))
                 for key in ("HWM", "RSS"))
    print(f"| {name} | {wall:.2f} | {cpu:.2f} | {now} | {peak} |")

file = Path(sys.argv[1])
from retouchd.config import Device
from retouchd.device import choose
with step("import torch"):
    choose(Device(use="cpu"))
from retouchd.local_engine import LocalEngine
from retouchd.manifest import resolve
from retouchd.nets.fused_lama import FusedLama
from retouchd.weights import LamaFile
with step("name and hash"):
    spec = resolve(str(file), file.parent)
if sys.argv[2] == "parts":
    weights = LamaFile(spec)
    with step("read and hash again"):
        lama = weights.load()
    with step("fuse"):
        network = FusedLama(lama, spend=True)
    weights.close()
else:
    engine = LocalEngine({"lama": spec}, Device(use="cpu"))
    with step("load, self-check, first inference"):
        engine.warm_up()
    print(dict(engine.describe()["auto"]["lama"]))
    engine.close()
"""


def _model(folder: Path) -> None:
    from benchmarks.lama import write_random_lama

    path = write_random_lama(folder / "lama.safetensors")
    print("\n| step | seconds | CPU seconds | MiB after | peak MiB |\n|---|---:|---:|---:|---:|")
    for what in ["parts", *["whole"] * STARTS]:
        subprocess.run([sys.executable, "-c", _CHILD, str(path), what], check=True)


if __name__ == "__main__":
    main()
