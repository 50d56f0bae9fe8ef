"""Photos repaired as the service repairs them, by its models and by what else there is.

The plan, the cut, the engine, coarse to fine, matching of colours and pasting are the service's,
with a lane's defaults; only what paints a crop differs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from retouchd.blend import cut, paste
from retouchd.config import Device, Mask
from retouchd.engine import Engine, Pixels, Request, Result
from retouchd.local_engine import LocalEngine
from retouchd.manifest import resolve
from retouchd.regions import DEFAULTS, plan
from retouchd.samples import Unit, to_unit
from retouchd.solving import Asking, solve

Photo = NDArray[np.uint8]
Hole = NDArray[np.uint8]
Fill = Callable[[Pixels, Hole], Unit]

NAVIER_STOKES = "Navier–Stokes"
_RADIUS = 3  # as OpenCV's examples have it


@dataclass(frozen=True, eq=False)
class Method:
    """What paints. largest: the side of the largest crop that it gets, in pixels."""

    name: str
    engine: Engine
    model: str
    largest: int


@contextmanager
def methods(models: Sequence[str], folder: Path) -> Iterator[list[Method]]:
    """Telea, Navier–Stokes, ``classical``, and models by name or file; raises ModelUnusable.

    folder: of installed models.
    """
    specs = {name: resolve(name, folder) for name in dict.fromkeys(("classical", *models))}
    with closing(LocalEngine(specs, Device())) as engine:
        engine.warm_up()
        yield [
            Method("Telea", Function(_opencv(cv2.INPAINT_TELEA)), "", DEFAULTS.largest),
            Method(NAVIER_STOKES, Function(_opencv(cv2.INPAINT_NS)), "", DEFAULTS.largest),
            *(Method(name, engine, n, specs[n].largest) for n, name in labels(specs).items()),
        ]


def labels(models: Iterable[str]) -> dict[str, str]:
    """Model → what tables call it: its name or its file's, or the path where two are called so."""
    stems = {model: Path(model).stem for model in models}
    often = Counter(stems.values())
    return {model: stem if often[stem] == 1 else model for model, stem in stems.items()}


def repaired(photo: Photo, hole: Hole, method: Method, feather: int = Mask().feather) -> Photo:
    """The photo [H, W, 3] with its hole [H, W] 0/255, which is grown already, filled.

    feather: 0 where nothing of what is in the hole may stay; see ``blend.paste``. In float32: which
    precision pays depends on the machine, and what it costs is far less than what is measured.
    """
    settings = DEFAULTS.within(method.largest)
    result = photo.copy()
    with Asking(method.engine, method.model, {"precision": "fp32"}, 0) as asking:
        for region in plan(hole, "auto", settings):
            if region.at_once:
                place, answer = region, asking.answer(asking.ask(cut(photo, hole, region)))
            else:
                solved = solve(photo, hole, region, asking, settings)
                place, answer = solved.region, to_unit(solved.image)
            paste(result, hole, place, answer, feather_px=feather, colour=True)
    return result


class Function:
    """A function of one crop as an engine."""

    def __init__(self, fill: Fill) -> None:
        self._fill = fill

    def warm_up(self) -> None:
        """There is nothing to load."""

    def submit(self, request: Request) -> Future[Result]:
        """Done at once."""
        future: Future[Result] = Future()
        future.set_result(Result(self._fill(request.image, request.mask), 0.0))
        return future

    def describe(self) -> Mapping[str, Any]:
        """It has no facts."""
        return {}

    def last_beat(self) -> float:
        """It never hangs."""
        return time.monotonic()

    def close(self, timeout: float | None = None) -> None:
        """It holds nothing."""


def _opencv(way: int) -> Fill:
    def fill(image: Pixels, mask: Hole) -> Unit:
        return to_unit(np.asarray(cv2.inpaint(image, mask, _RADIUS, way), np.uint8))

    return fill
