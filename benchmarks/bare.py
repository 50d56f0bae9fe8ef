"""The model alone: the very regions that the daemon paints, and how long they take by themselves.

They are painted by a process of its own, which loads the model as the daemon does, and sleeps while
the daemon works.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retouchd.blackbox import BlackBox
from retouchd.clock import Clock
from retouchd.config import Device, for_root
from retouchd.device import choose
from retouchd.engine import Request, Result
from retouchd.machinery import Machinery, open_ledger
from retouchd.manifest import resolve
from retouchd.painter import Finish, Painter, open_painter
from retouchd.samples import Region
from retouchd.service import Service

Sets = tuple[str, ...]


class Recorder:
    """An engine that keeps what it is asked to paint, and answers in black."""

    def __init__(self, model: str, sha256: str, largest: int) -> None:
        self._facts = {
            "device": "none",
            "models": {model: sha256},
            "largest": {model: largest},
            "fits": {},
            "second_opinions": {},
        }
        self.requests: list[Request] = []

    def warm_up(self) -> None: ...

    def submit(self, request: Request) -> Future[Result]:
        image, mask = request.image.copy(), request.mask.copy()
        self.requests.append(
            Request(request.model, image, mask, dict(request.settings), request.tag)
        )
        answer: Future[Result] = Future()
        answer.set_result(Result(np.zeros(image.shape, np.float32), 0.0))
        return answer

    def describe(self) -> Mapping[str, Any]:
        return self._facts

    def last_beat(self) -> float:
        return time.monotonic()

    def close(self, timeout: float | None = None) -> None: ...


def recorded(root: Path, model: str, sets: Sets) -> list[Request]:
    """What the daemon asks its engine for with the photos in ``root``'s inbox: it runs once, in
    this process, with all its parts but the model."""
    config = for_root(root, [*sets, "scan.settle=100ms", f"lanes.inpaint.model={model}"])
    spec = resolve(model, config.models_folder)
    recorder = Recorder(spec.name, spec.sha256, spec.largest)
    ledger, box, clock = open_ledger(config), BlackBox(config.state), Clock()
    parts = Machinery(config, ledger, recorder, box, clock, _quiet)
    code = Service(
        config, parts, clock, parts.count_and_say, once=True, read_config=lambda: config
    ).run()
    if code:
        raise RuntimeError(f"a run without the model ended with {code}; see {root}/failed")
    return recorder.requests


def _quiet(event: str, **facts: object) -> None: ...


@dataclass(frozen=True)
class Alone:
    """What all forwards took: seconds, and seconds of all processors together."""

    wall: float
    cpu: float


class Bare:
    """A model with nothing around it, on the requests in ``folder``; ready when this returns.

    precision: what it chose on this machine. device: in words.
    """

    def __init__(self, model: str, device: str, folder: Path, requests: list[Request]) -> None:
        file = folder / "requests.npz"
        arrays: dict[str, Any] = {}
        for number, request in enumerate(requests):
            arrays |= {f"image{number}": request.image, f"mask{number}": request.mask}
        np.savez(file, **arrays)
        command = [sys.executable, "-m", "benchmarks.bare", model, device, str(file)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.precision, _, self.device = self._answer().partition(" on ")

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("the process for the model alone ended")
        return line

    def paint(self) -> Alone:
        """All forwards, now."""
        assert self._process.stdin
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        wall, cpu = self._answer().split()
        return Alone(float(wall), float(cpu))

    def close(self) -> None:
        self._process.communicate()


def _serve(model: str, device: str, file: Path) -> None:
    """Answer every line with what all forwards took."""
    place = choose(Device(use=device))
    painter = open_painter(resolve(model, file.parent), place, None, lambda: None)
    precision = painter.auto.get("precision", "fp32")
    print(f"{precision} on {place.label}", flush=True)
    tuned = painter.tuned({"precision": precision})
    with np.load(file) as arrays:
        count = len(arrays.files) // 2
        regions = [(arrays[f"image{n}"], arrays[f"mask{n}"]) for n in range(count)]
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        _paint(tuned, regions)
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
    painter.close()


def _paint(painter: Painter, regions: list[Region]) -> None:
    """Equal sizes go together as far as the painter takes them, and the next batch is started
    before the last is fetched where it can be: no daemon feeds the device better."""
    waiting: list[Finish] = []
    for batch in _batches(painter, regions):
        waiting.append(painter.start(batch))
        if len(waiting) > painter.ahead:
            waiting.pop(0)()
    for finish in waiting:
        finish()


def _batches(painter: Painter, regions: list[Region]) -> Iterator[list[Region]]:
    by_size: dict[tuple[int, ...], list[Region]] = defaultdict(list)
    for region in regions:
        by_size[region[1].shape].append(region)
    for (height, width), together in by_size.items():
        most = painter.limit((height, width))
        for start in range(0, len(together), most):
            yield together[start : start + most]


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
