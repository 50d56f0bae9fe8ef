"""The seam between the pipeline and whatever repairs pixels.

An engine takes arrays and gives arrays. It knows no paths, no jobs and no ledger, and this file
imports no torch, so that every part that only talks to an engine starts fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Request:
    """One region of one photo to be repaired, or one photo whose subject is to be found.

    model: name of a model that the engine was opened with.
    image: [H, W, 3] RGB, uint8 or uint16 (full range); what is under the mask is ignored.
    mask: [H, W] uint8, 255 where the pixel is to be made up, 0 where it is known. For a matting
        model: 255 where the picture shows the photo, 0 beside it.
    settings: what the lane says about the work (see ``config.Work``), as plain values.
    tag: the job, for blame: an engine that dies tells by its tag which request it was at.
    """

    model: str
    image: Pixels
    mask: NDArray[np.uint8]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tag: int = 0


@dataclass(frozen=True, eq=False)
class Result:
    """The repaired region, or the alpha.

    image: [H, W, 3] RGB float32 in [0, 1], the same H and W as the request; only what lies under
        the request's mask is meant to be used. Of a matting model: [H, W, 1], the alpha in [0, 1].
    seconds: time on the device for this region (its share of a batch).
    notes: facts worth keeping with the job, such as ``precision`` or ``oom_step``.
    """

    image: NDArray[np.float32]
    seconds: float
    notes: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """What the pipeline needs from an engine."""

    def warm_up(self) -> None:
        """Load every model and run one inference each.

        Raises ModelUnusable or GpuRequired.
        """

    def submit(self, request: Request) -> Future[Result]:
        """Queue one region; never blocks.

        The future raises OutOfMemory (after every fallback failed) or EngineTrouble. Requests
        are served in order, but equal ones may join the batch of an older one.
        """

    def describe(self) -> Mapping[str, Any]:
        """Facts: at least ``device`` (str), ``models`` (name to sha256), ``largest`` (name to
        the largest side in pixels that it should be shown at once) ``fits`` (name to the
        ``Fit`` of a matting network's pictures, or None) and ``tasks`` (name to what it is for)."""

    def last_beat(self) -> float:
        """Monotonic time of the last sign of progress; now, while there is nothing to do."""

    def close(self, timeout: float | None = None) -> None:
        """Stop taking requests, fail the queued ones with EngineTrouble and free the device."""
