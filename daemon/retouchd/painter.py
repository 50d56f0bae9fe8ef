"""The seam inside the local engine: one model, opened on one device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retouchd import classical, flat, patchmatch
from retouchd.device import Place
from retouchd.engine import Pixels
from retouchd.entry import WEIGHTLESS
from retouchd.manifest import ModelSpec
from retouchd.samples import Region, Unit
from retouchd.sanity import trouble_with

Beat = Callable[[], None]
Finish = Callable[[], list[Unit]]
Size = tuple[int, int]  # height, width

_FILLS: Mapping[str, Callable[[Pixels, NDArray[np.uint8]], Unit]] = {
    "patchmatch": patchmatch.fill,
    "classical": classical.fill,
    "flat": flat.fill,
}


class Painter(Protocol):
    """What the device thread needs from a model. Never called by two threads at once."""

    def tuned(self, settings: Mapping[str, Any]) -> Painter:
        """This painter, working as a request's settings say; quick, and equal for equal ones."""

    def exact(self) -> Painter | None:
        """The same model in float32, or None if this is it."""

    @property
    def auto(self) -> Mapping[str, Any]:
        """What precision ``auto`` means and why, if the model has a choice."""

    def limit(self, size: Size) -> int:
        """The most regions of this height and width that one ``paint`` should get."""

    def overran(self, batch: int, size: Size) -> None:
        """Remember that so many regions of this size did not fit, even with an empty cache."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What to note with every result, such as ``device`` and ``precision``."""

    def doubt(self, answer: Unit, region: Region) -> str | None:
        """What is wrong with an answer, so that it can't be right; None if it can."""

    @property
    def ahead(self) -> bool:
        """Whether ``start`` returns before the work is done, so that the next batch can be
        started meanwhile."""

    def start(self, regions: Sequence[Region]) -> Finish:
        """Begin to paint regions of equal size. What is returned is called once and waits for
        them: [H, W, 3] RGB float32 in [0, 1] for each, or [H, W, 1] alpha of a matting model.

        Both raise OutOfMemory when the device's or the machine's memory was too small.
        """

    def relieve(self) -> None:
        """Give back memory that is only cached."""

    def fallback(self) -> Painter | None:
        """The same model where there is more memory, or None if this is the last resort."""

    def close(self) -> None:
        """Free the device; the painter can't be used any more."""


@dataclass(frozen=True)
class PlainPainter:
    """A model that is only a function of one region."""

    fill: Callable[[Pixels, NDArray[np.uint8]], Unit]
    batch: int = 1

    def tuned(self, settings: Mapping[str, Any]) -> PlainPainter:
        """It has nothing to set."""
        return self

    def exact(self) -> None:
        """It is exact."""

    @property
    def auto(self) -> Mapping[str, Any]:
        """It has no choice."""
        return {}

    def limit(self, size: Size) -> int:
        """As it was opened."""
        return self.batch

    def overran(self, batch: int, size: Size) -> None:
        """It paints one after the other anyway."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """It runs on the CPU."""
        return {"device": "cpu"}

    def doubt(self, answer: Unit, region: Region) -> str | None:
        """See ``sanity``."""
        return trouble_with(answer, *region)

    @property
    def ahead(self) -> bool:
        """It works while it is waited for."""
        return False

    def start(self, regions: Sequence[Region]) -> Finish:
        """One after the other."""
        return lambda: [self.fill(image, mask) for image, mask in regions]

    def relieve(self) -> None:
        """It caches nothing."""

    def fallback(self) -> None:
        """It is the last resort."""

    def close(self) -> None:
        """It holds nothing."""


def on_device(spec: ModelSpec) -> bool:
    """Whether a model is resident; the others are a method that the hands know by themselves."""
    return spec.architecture != "trimap"


def needs_torch(spec: ModelSpec) -> bool:
    """Whether opening this model imports torch; also for onnxruntime it finds the GPU."""
    return spec.architecture not in WEIGHTLESS


def open_painter(spec: ModelSpec, place: Place, max_batch: int | None, beat: Beat) -> Painter:
    """Load a model onto ``place``; ``beat`` is called at signs of progress.

    max_batch: None lets the model choose. Raises ModelUnusable.
    """
    if spec.architecture in _FILLS:
        return PlainPainter(_FILLS[spec.architecture], max_batch or 1)
    if spec.architecture == "onnx":
        from retouchd.onnx_painter import open_onnx

        return open_onnx(spec, place, max_batch, beat)
    if spec.architecture == "cvunet":
        from retouchd.matte_painter import open_cvunet

        return open_cvunet(spec, place, max_batch, beat)
    from retouchd.lama_painter import open_lama

    return open_lama(spec, place, max_batch, beat)
