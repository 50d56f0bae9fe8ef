"""One run of a training: from the last checkpoint to the end, the time limit or a signal."""

from __future__ import annotations

import math
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from models.training import checkpoint
from models.training.curves import draw
from models.training.history import History
from models.training.schedule import Schedule, Span, Stage
from models.training.stream import Feed
from models.training.trainable import Trainable
from torch import Tensor

B = TypeVar("B", bound=tuple[Tensor, ...])


@dataclass(frozen=True)
class Settings:
    """Where and how a training runs; what comes out does not depend on it, but for rounding.

    photos: a folder of them. work: a folder for checkpoints, log and sheets; the decoded photos
    are kept there too. begin_with: exported weights for a training that has no checkpoint yet.
    minutes: after so many, save and stop. workers: processes that make samples; 0: this one.
    exact: float32 throughout. The last three are in steps.
    """

    photos: Path
    work: Path
    device: torch.device
    begin_with: Path | None = None
    minutes: float = math.inf
    workers: int = 0
    exact: bool = False
    log_every: int = 20
    save_every: int = 100
    check_every: int = 250


@dataclass(frozen=True)
class Finding:
    """What a check found: the score (lower is better), all figures by name, and a line to read."""

    score: float
    figures: Mapping[str, float]
    line: str


class Run(ABC, Generic[B]):
    """Runs ``recipe``; the folder ``settings.work`` holds

    - last.pt: everything, to go on from; best.pt: the running average that scored best
    - history.jsonl, curves.png: losses and figures; sheets/: pictures to look at
    """

    def __init__(self, recipe: Schedule, settings: Settings, trainer: Trainable) -> None:
        self.recipe, self.settings, self.trainer = recipe, settings, trainer
        self.history = History(settings.work / "history.jsonl")
        self.best = math.inf
        self._until = time.monotonic() + 60 * settings.minutes
        self._stopped = False

    @abstractmethod
    def begin(self) -> None:
        """What comes before the very first step."""

    @abstractmethod
    def batches(self, feed: Feed, side: int, first: int, last: int) -> Iterator[B]:
        """The batches of steps ``first`` to ``last`` − 1, of pictures of that side."""

    @abstractmethod
    def advance(self, batch: B, stage: Stage) -> dict[str, Tensor]:
        """One step; the parts of the loss."""

    @abstractmethod
    def check(self) -> Finding:
        """Measure the running average on what is held out, and draw sheets."""

    @abstractmethod
    def best_state(self) -> Mapping[str, Any]:
        """What best.pt holds besides step and score."""

    @abstractmethod
    def material(self) -> str:
        """What is learned from, in words."""

    def told(self, means: dict[str, float]) -> dict[str, float]:
        """The parts of the loss as they are shown."""
        return means

    def run(self) -> None:
        """Train, then save; raises FloatingPointError when a loss is no longer finite."""
        self._resume()
        self._say(self._start())
        before = {n: signal.signal(n, self._stop) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            for span in self.recipe.spans():
                if self.trainer.step < span.last and not self._over():
                    self._pass(span)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self._save()

    def _pass(self, span: Span) -> None:
        """The steps of a stage that are left."""
        stage, settings = span.stage, self.settings
        feed = Feed(
            self.recipe.seed, stage.batch, self.recipe.reuse, settings.workers, str(settings.device)
        )
        stream = Watched(self.batches(feed, stage.side, self.trainer.step, span.last))
        terms: list[dict[str, Tensor]] = []
        for batch in stream:
            terms.append(self.advance(batch, stage))
            step = self.trainer.step
            if step % settings.log_every == 0:
                self._log(terms, f"{stage.side}² × {stage.batch}  {stream.report()}")
                terms = []
            if step % settings.check_every == 0 or step == self.recipe.steps:
                self._check()
            if step % settings.save_every == 0:
                self._save()
            if self._over():
                return

    def _log(self, terms: Sequence[dict[str, Tensor]], speed: str) -> None:
        names = dict.fromkeys(name for each in terms for name in each)
        means = {n: float(torch.stack([e[n] for e in terms if n in e]).mean()) for n in names}
        step = self.trainer.step
        if not all(math.isfinite(value) for value in means.values()):
            raise FloatingPointError(f"step {step}: {means}; the last checkpoint is whole")
        means = self.told(means)
        self.history.add(step, {**means, "rate": self.recipe.learning_rate(step - 1)})
        told = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        self._say(f"{step:6d}  {speed}  {told}")

    def _check(self) -> None:
        """Measure and draw the running average; keep it if it is the best so far."""
        step, found = self.trainer.step, self.check()
        self.history.add(step, {"score": found.score, **found.figures})
        self._say(f"{step:6d}  {found.line}")
        draw(self.history.rows(), self.settings.work / "curves.png")
        if found.score < self.best:
            self.best = found.score
            state = {**self.best_state(), "step": step, "score": found.score}
            checkpoint.save(self.settings.work / "best.pt", state)

    def _save(self) -> None:
        state = {**self.trainer.state(), "best": self.best}
        checkpoint.save(self.settings.work / "last.pt", state)

    def _resume(self) -> None:
        state = checkpoint.load(self.settings.work / "last.pt", self.settings.device)
        if state is None:
            self.begin()
        else:
            self.trainer.restore(state)
            self.best = float(state["best"])
        self.history.cut(self.trainer.step)

    def _start(self) -> str:
        weights = sum(p.numel() for p in self.trainer.model.parameters())
        return (
            f"{self.material()}; {weights / 1e6:.2f} M weights; "
            f"{self.settings.device}; step {self.trainer.step} of {self.recipe.steps}"
        )

    def _over(self) -> bool:
        return self._stopped or time.monotonic() > self._until

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def _say(self, line: str) -> None:
        print(line, flush=True)


class Watched(Generic[B]):
    """Batches, and how much of the time was spent waiting for them."""

    def __init__(self, stream: Iterator[B]) -> None:
        self._stream = stream
        self._clear()

    def __iter__(self) -> Iterator[B]:
        while True:
            asked = time.monotonic()
            batch = next(self._stream, None)
            if batch is None:
                return
            self._waited += time.monotonic() - asked
            self._count += 1
            yield batch

    def report(self) -> str:
        """Speed since the last report."""
        seconds = time.monotonic() - self._since
        told = f"{self._count / seconds:.2f} steps/s  waiting {self._waited / seconds:.0%}"
        self._clear()
        return told

    def _clear(self) -> None:
        self._since, self._waited, self._count = time.monotonic(), 0.0, 0
