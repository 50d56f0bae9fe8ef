"""The engine in this process: resident models and the one thread that owns the device."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import numpy as np

from retouchd.batches import Batch, Entry, in_words, take
from retouchd.blackbox import deaf_to_aborts
from retouchd.config import Device
from retouchd.device import Place, choose
from retouchd.engine import Request, Result
from retouchd.errors import EngineTrouble, ModelUnusable
from retouchd.fitting import picture_of, place
from retouchd.ladder import Outcome, begin, finish_soundly
from retouchd.manifest import ModelSpec
from retouchd.painter import Painter, needs_torch, on_device, open_painter
from retouchd.samples import Region

OnDevice = Callable[[tuple[int, ...]], None]


class LocalEngine:
    """Implements ``engine.Engine`` with models that stay loaded.

    models: name, as requests call it, to model. device: that section of the configuration.
    max_batch: the most equal-sized regions painted at once; None chooses by device, 1 on a CPU.
    on_device: called by the device thread with the tags of the requests that go onto the device,
        and with () when they are off it; a note for whoever looks for the cause of a crash.

    Torch is imported only when a model needs it. The arrays of a request must stay as they are
    until its future is done. The device thread starts with ``warm_up`` or the first ``submit``
    and keeps the process alive until ``close``.
    """

    def __init__(
        self,
        models: Mapping[str, ModelSpec],
        device: Device,
        *,
        max_batch: int | None = None,
        on_device: OnDevice | None = None,
    ) -> None:
        self._models = dict(models)
        self._device = device
        self._max_batch = max_batch
        self._on_device = on_device or (lambda tags: None)
        self._place = Place(label=f"{device.use} (not opened yet)")
        self._auto: dict[str, Mapping[str, Any]] = {}
        self._queue: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._opened: Future[None] = Future()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._closing = False
        self._beat_at = self._free_at = time.monotonic()

    def warm_up(self) -> None:
        """Load every model and run one inference each; raises ModelUnusable or GpuRequired."""
        with self._changed:
            self._start()
        self._opened.result()

    def submit(self, request: Request) -> Future[Result]:
        """Queue one region; see ``engine.Engine``. A request that can't be served fails at once."""
        entry = Entry(request)
        with self._changed:
            refusal = "the engine is closed" if self._closing else self._refusal(request)
            if refusal is None:
                if not self._busy and not self._queue:
                    self._beat()
                self._queue.append(entry)
                self._start()
                self._changed.notify_all()
        if refusal is not None:
            entry.fail(EngineTrouble(model=request.model, cause=refusal))
        return entry.future

    def describe(self) -> Mapping[str, Any]:
        """``device`` as text; ``models``, name to identity; ``largest``, ``fits``,
        ``second_opinions`` and ``tasks``, name to those of its spec; and ``auto``, name to what
        precision ``auto`` means for it and why: ``precision``, ``speedup``, ``error``; once it is
        loaded."""
        return {
            "device": self._place.label,
            "models": {name: spec.identity for name, spec in self._models.items()},
            "largest": {name: spec.largest for name, spec in self._models.items()},
            "fits": {name: spec.fit for name, spec in self._models.items()},
            "second_opinions": {name: s.second_opinion for name, s in self._models.items()},
            "tasks": {name: spec.task for name, spec in self._models.items()},
            "auto": dict(self._auto),
        }

    def last_beat(self) -> float:
        """Monotonic time of the last sign of progress; now, while there is nothing to do."""
        with self._changed:
            return self._beat_at if self._busy or self._queue else time.monotonic()

    def close(self, timeout: float | None = None) -> None:
        """Fail what is queued, let the batch in hand finish and free the device.

        Waits for that batch at most ``timeout`` seconds (None: as long as it takes); a device
        that hangs is then left behind. May be called more than once.
        """
        with self._changed:
            self._closing = True
            waiting, thread = list(self._queue), self._thread
            self._queue.clear()
            self._changed.notify_all()
        for entry in waiting:
            if entry.future.set_running_or_notify_cancel():
                entry.fail(EngineTrouble(model=entry.request.model, cause="the engine is closing"))
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            self._busy = True
            self._beat()
            self._thread = threading.Thread(target=self._run, name="device")
            with deaf_to_aborts():
                self._thread.start()
        elif self._thread is None and not self._opened.done():
            self._opened.set_exception(EngineTrouble(model="any", cause="the engine is closed"))

    def _refusal(self, request: Request) -> str | None:
        image, mask = request.image, request.mask
        if request.model not in self._models or not on_device(self._models[request.model]):
            return f"it is none of the models in use ({', '.join(self._models)})"
        if mask.ndim != 2 or image.shape != (*mask.shape, 3) or mask.size == 0:
            return f"an image of {image.shape} and a mask of {mask.shape} are no region"
        if image.dtype not in (np.uint8, np.uint16) or mask.dtype != np.uint8:
            return f"samples of {image.dtype} and a mask of {mask.dtype} are not supported"
        return None

    def _run(self) -> None:
        try:
            painters = self._open()
        except BaseException as error:
            self._opened.set_exception(error)
            self.close()
        else:
            self._opened.set_result(None)
            going, under_way = True, None
            while going:
                going, under_way = self._turn(painters, under_way)
            for painter in set(painters.values()):
                painter.close()
        with self._changed:
            self._busy = False

    def _open(self) -> dict[str, Painter]:
        """Every model, loaded and tried; models with the same weights share them."""
        if self._device.require_gpu or any(needs_torch(spec) for spec in self._models.values()):
            self._place = choose(self._device)
        else:
            self._place = Place()
        loaded: dict[str, Painter] = {}
        resident = {name: spec for name, spec in self._models.items() if on_device(spec)}
        try:
            for spec in resident.values():
                if spec.identity not in loaded:
                    loaded[spec.identity] = self._open_one(spec)
                    _try_out(loaded[spec.identity], spec, self._beat)
        except BaseException:
            for painter in loaded.values():
                painter.close()
            raise
        painters = {name: loaded[spec.identity] for name, spec in resident.items()}
        self._auto = {name: painter.auto for name, painter in painters.items() if painter.auto}
        return painters

    def _open_one(self, spec: ModelSpec) -> Painter:
        self._beat()
        if self._closing:
            raise EngineTrouble(model=spec.name, cause="the engine was closed while it started")
        return open_painter(spec, self._place, self._max_batch, self._beat)

    def _turn(
        self, painters: Mapping[str, Painter], under_way: Batch | None
    ) -> tuple[bool, Batch | None]:
        """Put the next batch on the device, then collect the one that was there before.

        Gives whether to go on, and the batch that is under way now. Keeps no pixels while it
        waits for requests.
        """
        entries = self._next(painters, wait=under_way is None)
        started = self._put_on_device(entries, painters, under_way) if entries else None
        if under_way:
            self._collect(under_way, started)
        if started and not started.painter.ahead:
            self._collect(started, None)
            return True, None
        return bool(entries or under_way), started

    def _next(self, painters: Mapping[str, Painter], *, wait: bool) -> list[Entry]:
        """The next batch; empty when the engine closes, or when there is none and no wait."""
        with self._changed:
            self._busy = not wait
            while not self._closing:
                if batch := take(self._queue, painters):
                    self._busy = True
                    self._beat()
                    return batch
                if not wait:
                    break
                self._changed.wait()
        return []

    def _put_on_device(
        self, entries: list[Entry], painters: Mapping[str, Painter], beside: Batch | None
    ) -> Batch:
        """Start a batch; whatever goes wrong is told when it is collected."""
        at, painter = time.monotonic(), entries[0].painter(painters)
        regions = [(entry.request.image, entry.request.mask) for entry in entries]
        tags = tuple(entry.request.tag for entry in entries)
        try:
            self._on_device((*(beside.tags if beside else ()), *tags))
            return Batch(entries, painter, at, begin(painter, regions))
        except Exception as error:
            return Batch(entries, painter, at, error)

    def _collect(self, batch: Batch, left: Batch | None) -> None:
        """Wait for a batch and resolve its futures, whatever happens; ``left`` is still there."""
        outcomes: list[Outcome]
        try:
            if isinstance(batch.begun, Exception):
                raise batch.begun
            outcomes = finish_soundly(batch.begun, self._beat)
        except Exception as error:
            outcomes = [error] * len(batch.entries)
        # The work is done: a note that can't be wiped out must not undo it.
        with suppress(Exception):
            self._on_device(left.tags if left else ())
        now = time.monotonic()
        seconds = (now - max(batch.at, self._free_at)) / len(batch.entries)
        self._free_at = now
        for entry, outcome in zip(batch.entries, outcomes, strict=True):
            entry.settle(outcome, seconds)

    def _beat(self) -> None:
        self._beat_at = time.monotonic()


def _try_out(painter: Painter, spec: ModelSpec, beat: Callable[[], None]) -> None:
    """One inference on a small grey ramp; raises ModelUnusable."""
    wanted = painter.tuned({"precision": "auto"})
    (outcome,) = finish_soundly(begin(wanted, [_trial(spec)]), beat)
    trouble = in_words(outcome) if isinstance(outcome, Exception) else outcome.trouble
    if trouble is not None:
        raise ModelUnusable(
            model=spec.name,
            cause=f"its first try failed ({trouble})",
            fix="Check the file with `retouchd models verify`, or use another model.",
        )


def _trial(spec: ModelSpec) -> Region:
    """A grey ramp as the model takes it: with a hole, or as a matting network's picture."""
    ramp = np.linspace(64, 192, 64).astype(np.uint8)
    image = np.broadcast_to(ramp[:, None, None], (64, 64, 3)).copy()
    if spec.fit:
        return picture_of(image, place((64, 64), spec.fit))
    mask = np.zeros((64, 64), np.uint8)
    mask[24:40, 24:40] = 255
    return image, mask
