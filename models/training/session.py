"""One run of a training: from the last checkpoint to the end, the time limit or a signal."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from models.training import checkpoint, validation
from models.training.curves import draw
from models.training.data import Batch, Feed, batches
from models.training.export import read
from models.training.history import History
from models.training.photos import Photos, open_photos
from models.training.recipe import Recipe, Span
from models.training.trainer import Trainer
from torch import Tensor

_CALIBRATION = 8  # batches


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


class Session:
    """Runs ``recipe``; the folder ``settings.work`` holds

    - last.pt: everything, to go on from; best.pt: the running average that scored best
    - history.jsonl, curves.png: losses and figures; sheets/: pictures to look at
    """

    def __init__(self, recipe: Recipe, settings: Settings) -> None:
        self.recipe, self.settings = recipe, settings
        self.history = History(settings.work / "history.jsonl")
        self.trainer = Trainer(recipe, settings.device, short=not settings.exact)
        self.best = math.inf
        self._until = time.monotonic() + 60 * settings.minutes
        self._stopped = False

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

    @cached_property
    def photos(self) -> tuple[Photos, Photos]:
        """(for training, held out)."""
        return open_photos(self.settings.photos, self.settings.work / "cache").split()

    @cached_property
    def held_out(self) -> Sequence[Batch]:
        """What ``check`` looks at."""
        return [validation.held_out(self.photos[1], *check) for check in self.recipe.checks]

    def _pass(self, span: Span) -> None:
        """The steps of a stage that are left."""
        stage, settings = span.stage, self.settings
        feed = Feed(
            self.recipe.seed, stage.batch, self.recipe.reuse, settings.workers, str(settings.device)
        )
        stream = Watched(batches(self.photos[0], feed, stage.side, self.trainer.step, span.last))
        terms: list[dict[str, Tensor]] = []
        for batch in stream:
            terms.append(self.trainer.advance(batch, stage.adversarial))
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
        means["l1 of fill"] = means["l1"] / means.pop("fill")
        self.history.add(step, {**means, "rate": self.recipe.learning_rate(step - 1)})
        told = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        self._say(f"{step:6d}  {speed}  {told}")

    def _check(self) -> None:
        """Measure and draw the running average; keep it if it is the best so far."""
        figures: dict[str, float] = {}
        relative: list[float] = []
        step, work = self.trainer.step, self.settings.work
        for batch in self.held_out:
            side = batch.image.shape[-1]
            out = validation.paint(self.trainer.average, batch, self.settings.device)
            ours, fill = validation.scores(out, batch)
            relative.append(ours.against(fill))
            figures |= {f"{name} {side}": value for name, value in vars(ours).items()}
            figures |= {f"fill {name} {side}": value for name, value in vars(fill).items()}
            validation.sheet(work / "sheets" / f"{step:06d}-{side}.png", out, batch)
        score = sum(relative) / len(relative)
        self.history.add(step, {"score": score, **figures})
        told = [
            f"{n} {v:.4f} ({figures[f'fill {n}']:.4f})"
            for n, v in figures.items()
            if not n.startswith("fill ")
        ]
        self._say(f"{step:6d}  held out (fill): score {score:.4f}  {'  '.join(told)}")
        draw(self.history.rows(), work / "curves.png")
        if score < self.best:
            self._keep(score)

    def _keep(self, score: float) -> None:
        self.best = score
        state = {
            "shape": dict(vars(self.recipe.shape)),
            "step": self.trainer.step,
            "score": score,
            "average": self.trainer.average.state_dict(),
        }
        checkpoint.save(self.settings.work / "best.pt", state)

    def _save(self) -> None:
        state = {**self.trainer.state(), "best": self.best}
        checkpoint.save(self.settings.work / "last.pt", state)

    def _resume(self) -> None:
        state = checkpoint.load(self.settings.work / "last.pt", self.settings.device)
        if state is not None:
            self.trainer.restore(state)
            self.best = float(state["best"])
        elif self.settings.begin_with:
            self.trainer.begin_with(read(self.settings.begin_with))
        else:
            feed = Feed(self.recipe.seed, self.recipe.stages[0].batch)
            side = self.recipe.stages[0].side
            self.trainer.calibrate(batches(self.photos[0], feed, side, 0, _CALIBRATION))
        self.history.cut(self.trainer.step)

    def _start(self) -> str:
        weights = sum(p.numel() for p in self.trainer.model.parameters())
        learned, held = self.photos
        return (
            f"{len(learned)} photos, {len(held)} held out; {weights / 1e6:.2f} M weights; "
            f"{self.settings.device}; step {self.trainer.step} of {self.recipe.steps}"
        )

    def _over(self) -> bool:
        return self._stopped or time.monotonic() > self._until

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def _say(self, line: str) -> None:
        print(line, flush=True)


class Watched:
    """Batches, and how much of the time was spent waiting for them."""

    def __init__(self, stream: Iterator[Batch]) -> None:
        self._stream = stream
        self._clear()

    def __iter__(self) -> Iterator[Batch]:
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
