"""The parts of a running service, built from a configuration and wired together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from retouchd import memory
from retouchd.attempt import Attempt
from retouchd.blackbox import BlackBox, Verdict
from retouchd.budget import ByteBudget
from retouchd.clock import Clock
from retouchd.config import Config, Log, RetryPolicy
from retouchd.engine import Engine
from retouchd.errors import ConfigInvalid, LedgerUnusable
from retouchd.failing import Failing
from retouchd.filing import Filing
from retouchd.hands import Hands
from retouchd.job import Job, State
from retouchd.lane_models import check_tasks
from retouchd.lanes import Lanes
from retouchd.ledger import Ledger
from retouchd.mounts import mount_of, read_mounts
from retouchd.order import Model
from retouchd.pipeline import Pipeline
from retouchd.pruning import Pruning
from retouchd.recording import STOPPED, begin_again, quarantine
from retouchd.regions import DEFAULTS
from retouchd.retry import after_restart
from retouchd.startable import check_models
from retouchd.worker import Worker

Say = Callable[..., None]
"""Called with an event's name and its facts; ``level`` is one of them."""

_GIB = 1 << 30
_PATIENCE = 10.0
"""Seconds that the batch on the device gets at the end."""


def hands_for(config: Config) -> Hands:
    """The pool of I/O workers that a configuration asks for."""
    return Hands(*_sizes(config))


def _sizes(config: Config) -> tuple[int, int, int]:
    """How many hands, for how many lanes, and the memory of each in bytes."""
    cores = os.cpu_count() or 2
    # One for each other lane, which may have nothing to do: no lane shall work slower for it.
    size = min(max(cores, 2) + len(config.lanes), 16) if config.hands == "auto" else config.hands
    pixels = max(lane.limits.max_pixels for lane in config.lanes)
    # Photo, its private copy, the encoder's and the check's: each up to 8 bytes a pixel.
    return size, len(config.lanes), 2 * _GIB + 40 * pixels


def open_ledger(config: Config) -> Ledger:
    """The ledger of a configuration; raises LedgerUnusable on a network file system."""
    path = config.state / "ledger.sqlite3"
    mount = mount_of(str(path), read_mounts())
    if mount and mount.remote:
        raise LedgerUnusable(
            path=path,
            cause=f"{mount.point} is a network file system ({mount.kind}), where SQLite's locks "
            "and syncs can't be trusted",
            fix="Set `state` (or --state-dir) to a folder on a local disk, like /var/lib/retouchd.",
        )
    return Ledger(path)


class Machinery:
    """Everything that works for one service.

    wake: called when something may be due. set_up_logs: called when a reload may have changed what
    is logged, and how. abandoned: after ``close``, whether threads were left
    behind that wait for a device which hangs.
    """

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        engine: Engine,
        box: BlackBox,
        clock: Clock,
        say: Say,
    ) -> None:
        self.ledger, self.engine, self._box = ledger, engine, box
        self._say, self.quarantined, self.done = say, 0, 0
        self.wake: Callable[[], None] = lambda: None
        self.forget: Callable[[str, list[str]], None] = lambda lane, paths: None
        self.set_up_logs: Callable[[Log], None] = lambda log: None
        self.lanes = Lanes(config.lanes)
        self.hands = hands_for(config)
        within = config.scan.answer_within
        self.pruning = Pruning(ledger, self.hands, within)
        worker = Worker(self.hands, engine, ByteBudget(_memory_budget()))
        self.attempt = Attempt(ledger, self.hands, worker, clock, within, self._model)
        filing = Filing(ledger, self.hands, clock, within, replaced=self._forget)
        self.failing = Failing(
            ledger, filing, clock, config.retry, say=self.count_and_say, forget=self._forget
        )
        self.pipeline = Pipeline(
            ledger,
            self.lanes,
            self.attempt,
            filing,
            self.failing,
            clock=clock,
            capacity=2 * self.hands.size + 2,
            say=self.count_and_say,
            wake=lambda: self.wake(),  # noqa: PLW0108 (another one is put in its place later)
        )
        self._background: threading.Thread | None = None
        self.abandoned = False
        self._judge_last_run(config, clock)

    def _forget(self, lane: str, paths: list[str]) -> None:
        self.forget(lane, paths)

    def _model(self, name: str) -> Model:
        facts = self.engine.describe()
        return Model(
            name,
            str(facts["models"].get(name, "")),
            facts["largest"].get(name, DEFAULTS.largest),
            facts["fits"].get(name),
            bool(facts["second_opinions"].get(name)),
        )

    def count_and_say(self, event: str, **facts: object) -> None:
        """Log, and count what `once` has to report."""
        if event == State.QUARANTINED and facts.get("level") == "warning":
            self.quarantined += 1
        # With a reason: a job that was done before, and is not done again.
        self.done += event == State.DONE and "why" not in facts
        self._say(event, **facts)

    def _judge_last_run(self, config: Config, clock: Clock) -> None:
        """Blame the jobs that were on the device when the last run died, if it died of them."""
        verdict, now = self._box.verdict, clock.now()
        if verdict.ended:
            self._say("last run died", level="warning", cause=verdict.ended)
        for job in self.ledger.running():
            if job.output_sha256:
                # It only has to be published: what could kill is behind it.
                self.ledger.note(job.id, now=now, next_attempt_at=None)
            else:
                self._judge(job, verdict, config.retry, now)

    def _judge(self, job: Job, verdict: Verdict, policy: RetryPolicy, now: float) -> None:
        blamed = verdict.evidence if job.id in verdict.jobs else None
        interrupted = job.interrupted + (not verdict.excused)
        judged = replace(job, interrupted=interrupted, crashes=job.crashes + bool(blamed))
        step = after_restart(judged, blamed, policy)
        with self.ledger.transaction():
            self.ledger.note(
                job.id, now=now, interrupted=judged.interrupted, crashes=judged.crashes
            )
            if step:
                quarantine(self.ledger, job.id, step.reason, now)
            else:
                # At once: a run that ends before it comes to the job is not held against it.
                begin_again(self.ledger, job, now)
        state, why = (State.QUARANTINED, step.reason.message) if step else (State.READY, STOPPED)
        level = "warning" if step else "info"
        self.count_and_say(state, level=level, job=job.id, lane=job.lane, file=job.name, why=why)

    def check_reload(self, before: Config, after: Config) -> None:
        """Raise ConfigInvalid where a reload changes what only a restart can change."""
        tasks = self.engine.describe()["tasks"]
        keys = ("state", "models", "hands", "device")
        changed = next((key for key in keys if getattr(before, key) != getattr(after, key)), None)
        other = next((lane for lane in after.lanes if lane.model not in tasks), None)
        if changed or other:
            # Whoever is told to restart shall not find that nothing starts any more.
            check_models(after)
        if changed:
            raise ConfigInvalid(
                where=changed, cause="it can't change while running", fix="Restart the service."
            )
        if other:
            raise ConfigInvalid(
                where=f"lane {other.name}, model",
                cause=f"{other.model} is not loaded",
                fix="Restart the service to load another model.",
            )
        check_tasks(after, tasks)

    def reload(self, config: Config) -> None:
        """Take another configuration that ``check_reload`` has passed."""
        self.lanes.reload(config.lanes)
        self.hands.adapt(*_sizes(config))
        self.failing.policy = config.retry
        self.set_up_logs(config.log)

    def note_stuck(self, parts: Sequence[str]) -> None:
        """Have it known after a death which parts of the service made no progress before it."""
        self._box.stuck(parts)

    @property
    def background_busy(self) -> bool:
        """Whether the last background task still runs."""
        return self._background is not None and self._background.is_alive()

    def in_background(self, task: Callable[[], None]) -> None:
        """Run a task beside the loop; one at a time."""
        self._background = threading.Thread(target=task, name="background", daemon=True)
        self._background.start()

    def close(self) -> None:
        """End everything; jobs under way are left to the ledger."""
        self.pipeline.stop()
        self.hands.close()
        self.engine.close(timeout=_PATIENCE)
        self.abandoned = not self.pipeline.close(timeout=_PATIENCE)
        self._box.close()
        self.ledger.close()


def _memory_budget() -> int:
    """Bytes of decoded photos in memory at once: a quarter of what there is."""
    return memory.there_is() // 4
